"""The `report` step: what evaluated runs say, as one HTML file on its own and a table for the terminal."""

from dataclasses import dataclass

from cloze.errors import SettingsError
from cloze.settings import choices, setting, table_input
from cloze.stage import Workspace

DATA_FILES = ("../../reports",)  # the templates: a step is run again where they changed


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What a user may set when reporting evaluated runs."""

    runs: str = table_input(
        "Evaluated runs, or a study that has some, comma-separated.", made_by="main", artifact="cells.json", many=True
    )
    strips: int = setting("How many sequences to show with their panels and predictions.", default=200)
    compare: str = setting(
        "Runs that disagree in what must agree (docs/scores.md): refuse to compare them, or mark them.",
        default="refuse",
        choices=("refuse", "mark"),
    )

    def __post_init__(self) -> None:
        allowed = choices(type(self), "compare")
        if self.compare not in allowed:
            raise SettingsError("compare", self.compare, f"one of {', '.join(allowed)}")
        if not 0 <= self.strips <= 1000:
            raise SettingsError("strips", self.strips, "from 0 to 1000")


def build_report(settings: ReportSettings, workspace: Workspace) -> dict[str, float]:
    """Write `report.html`, `two_by_two.txt` and `comparisons.parquet` about evaluated runs.

    Returns:
        How many runs, strips and pictures are shown, and how many pictures could not be.

    Raises:
        DataError: the description of the runs, or a table of theirs, is not what it must be, or runs may not be
            compared.
    """
    from cloze.reporting.cells import read_cells
    from cloze.reporting.effects import comparison_table
    from cloze.reporting.page import make_page, render
    from cloze.reporting.summary import two_by_two
    from cloze.tables import write_table

    described = read_cells(settings.runs)
    page = make_page(described, settings.strips, workspace.cache, is_marked=settings.compare == "mark")
    content = render(page).encode()
    (workspace.out / "report.html").write_bytes(content)
    summary = two_by_two([cell for _, cell in page.rows], page.compared, page.marks)
    (workspace.out / "two_by_two.txt").write_text(summary, encoding="utf-8")
    write_table(comparison_table(page.compared), workspace.out / "comparisons.parquet")
    galleries = [gallery for collection in page.collections for gallery in collection.galleries]
    return {
        "n_cells": float(len(described.cells)),
        "n_comparisons": float(len(page.compared)),
        "marked_runs": float(len(page.marks)),
        "n_strips": float(sum(collection.n_strips for collection in page.collections)),
        "n_pictures": float(sum(len(gallery.thumbnails) for gallery in galleries)),
        "n_drawn": float(
            sum(len(gallery.thumbnails) for collection in page.collections for gallery in collection.drawn)
        ),
        "missing_pictures": float(sum(gallery.n_gaps for gallery in galleries)),
        "report_bytes": float(len(content)),
    }
