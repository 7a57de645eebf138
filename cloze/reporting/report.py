"""The `report` step: what evaluated runs say, as one HTML file on its own and a table for the terminal."""

from dataclasses import dataclass

from cloze.errors import SettingsError
from cloze.settings import setting, table_input
from cloze.stage import Workspace

DATA_FILES = ("../../reports",)  # the templates: a step is run again where they changed


@dataclass(frozen=True, kw_only=True)
class ReportSettings:
    """What a user may set when reporting evaluated runs."""

    runs: str = table_input(
        "Evaluated runs, or a study that has some, comma-separated.", made_by="main", artifact="cells.json", many=True
    )
    strips: int = setting("How many sequences to show with their panels and predictions.", default=16)

    def __post_init__(self) -> None:
        if not 0 <= self.strips <= 1000:
            raise SettingsError("strips", self.strips, "from 0 to 1000")


def build_report(settings: ReportSettings, workspace: Workspace) -> dict[str, float]:
    """Write `report.html` and `two_by_two.txt` about evaluated runs.

    Returns:
        How many runs, strips and pictures are shown, and how many pictures could not be.

    Raises:
        DataError: the description of the runs, or a table of theirs, is not what it must be.
    """
    from cloze.reporting.cells import read_cells
    from cloze.reporting.page import make_page, render
    from cloze.reporting.summary import two_by_two

    described = read_cells(settings.runs)
    page = make_page(described, settings.strips, workspace.cache)
    content = render(page).encode()
    (workspace.out / "report.html").write_bytes(content)
    (workspace.out / "two_by_two.txt").write_text(two_by_two(described.cells), encoding="utf-8")
    galleries = [collection.gallery for collection in page.collections]
    return {
        "n_cells": float(len(described.cells)),
        "n_strips": float(sum(collection.n_strips for collection in page.collections)),
        "n_pictures": float(sum(len(gallery.thumbnails) for gallery in galleries)),
        "missing_pictures": float(sum(gallery.n_gaps for gallery in galleries)),
        "report_bytes": float(len(content)),
    }
