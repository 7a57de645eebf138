"""Tables of estimates: the 2x2, fact recall, and what is lost when something is hidden."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloze.reporting.cells import Cell, titles
from cloze.reporting.contrasts import HIDING, Compared
from cloze.reporting.estimates import (
    FACT_METRICS,
    REFERENCES,
    TEXT_METRICS,
    Change,
    Estimate,
    estimate,
    own_reference,
)
from cloze.reporting.evidence import Evidence

CHIEF_METRICS = {"ROUGE-L, own labels": "rougeL"} | {title: metric for metric, title in FACT_METRICS.items()}


@dataclass(frozen=True)
class Entry:
    """One place in a table.

    Attributes:
        estimate: None where that was not measured.
        is_own: it is against the run's own labels.
        change: against the run that the row is compared with, where there is one.
    """

    estimate: Estimate | None
    is_own: bool = False
    change: Change | None = None


@dataclass(frozen=True)
class ScoreTable:
    """Estimates in rows and columns."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Entry]]]

    @property
    def top(self) -> float:
        """End of the scale that all bars of the table share; it begins at 0."""
        tops = [entry.estimate.top for _, entries in self.rows for entry in entries if entry.estimate]
        return max([*tops, 0.01])


def score_tables(cells: Sequence[Cell]) -> list[ScoreTable]:
    """A table for each text metric that was measured: a row per run that saw everything, a column per reference."""
    seeing = _seeing(cells)
    references = [reference for reference in REFERENCES if reference != "facts" and _is_scored(seeing, reference)]
    return [
        ScoreTable(
            title,
            [REFERENCES[reference] for reference in references],
            _rows(seeing, [(reference, metric) for reference in references]),
        )
        for metric, title in TEXT_METRICS.items()
        if any(f"eval/{reference}/{metric}" in cell.metrics for reference in references for cell in seeing)
    ]


def fact_table(cells: Sequence[Cell]) -> ScoreTable | None:
    """Recall of facts by where they could be seen; None where no run has facts."""
    seeing = _seeing(cells)
    if not _is_scored(seeing, "facts"):
        return None
    rows = _rows(seeing, [("facts", metric) for metric in FACT_METRICS])
    return ScoreTable("Recall of facts", list(FACT_METRICS.values()), rows)


def ablation(
    evidence: Sequence[Evidence], compared: Sequence[Compared], columns: Mapping[str, str] = CHIEF_METRICS
) -> ScoreTable | None:
    """Each blind run beside the run that differs from it only in seeing everything; None without blind runs.

    Args:
        columns: titles of metrics, which are against the runs' own labels unless they are of facts.
    """
    cells = [item.cell for item in evidence]
    names = dict(zip([cell.run_id for cell in cells], titles(cells), strict=True))
    hidings = [found for found in compared if found.contrast.family == HIDING]
    whole = {found.contrast.terms[0].run.cell.run_id: found.contrast.terms[1].run.cell for found in hidings}
    changes = {(f.contrast.terms[0].run.cell.run_id, f.reference, f.metric): f.change for f in hidings}
    blocks: dict[str, list[tuple[str, list[Entry]]]] = {}  # by what is compared with, so that an adapter's rows are one
    for cell in (cell for cell in cells if cell.is_blind):
        measures = _measures(own_reference(cell), columns)
        seeing = whole.get(cell.run_id)
        rows = blocks.setdefault(seeing.run_id if seeing else "", [])
        if seeing and not rows:
            rows.append((names[seeing.run_id], [entry(seeing, r, m) for r, m in measures]))
        entries = [entry(cell, r, m, changes.get((cell.run_id, r, m))) for r, m in measures]
        rows.append((names[cell.run_id], entries))
    rows = [row for block in blocks.values() for row in block]
    return ScoreTable("Scores, and their change where something is hidden", [*columns], rows) if rows else None


def _measures(reference: str, columns: Mapping[str, str] = CHIEF_METRICS) -> list[tuple[str, str]]:
    return [("facts" if metric in FACT_METRICS else reference, metric) for metric in columns.values()]


def _rows(cells: Sequence[Cell], measures: Sequence[tuple[str, str]]) -> list[tuple[str, list[Entry]]]:
    """A row for each run: its estimates of the measures, which are (reference, metric)."""
    return [
        (name, [entry(cell, reference, metric) for reference, metric in measures])
        for name, cell in zip(titles(cells), cells, strict=True)
    ]


def entry(cell: Cell, reference: str, metric: str, against: Change | None = None) -> Entry:
    """The run's estimate of one metric, as a place in a table."""
    return Entry(estimate(cell, reference, metric), own_reference(cell) == reference, against)


def _seeing(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if not cell.is_blind] or list(cells)


def _is_scored(cells: Iterable[Cell], reference: str) -> bool:
    return any(name.startswith(f"eval/{reference}/") for cell in cells for name in cell.metrics)
