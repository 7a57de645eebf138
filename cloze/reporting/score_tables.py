"""Tables of estimates: the 2x2, fact recall, what fine-tuning changes, and what is lost when something is hidden."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cloze.reporting.cells import PARADIGMS, Cell, titles
from cloze.reporting.estimates import (
    FACT_METRICS,
    REFERENCES,
    TEXT_METRICS,
    Change,
    Estimate,
    change,
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


@dataclass(frozen=True)
class ChangeTable:
    """Changes in rows and columns; None where they are unknown."""

    columns: list[str]
    rows: list[tuple[str, list[Change | None]]]


def score_tables(cells: Sequence[Cell]) -> list[ScoreTable]:
    """A table for each text metric: a row per run that saw everything, a column per reference."""
    seeing = _seeing(cells)
    references = [reference for reference in REFERENCES if reference != "facts" and _is_scored(seeing, reference)]
    return [
        ScoreTable(
            title,
            [REFERENCES[reference] for reference in references],
            _rows(seeing, [(reference, metric) for reference in references]),
        )
        for metric, title in TEXT_METRICS.items()
    ]


def fact_table(cells: Sequence[Cell]) -> ScoreTable | None:
    """Recall of facts by where they could be seen; None where no run has facts."""
    seeing = _seeing(cells)
    if not _is_scored(seeing, "facts"):
        return None
    rows = _rows(seeing, [("facts", metric) for metric in FACT_METRICS])
    return ScoreTable("Recall of facts", list(FACT_METRICS.values()), rows)


def tuning_changes(evidence: Sequence[Evidence]) -> ChangeTable:
    """Fine-tuned minus zero-shot under each paradigm that has both, paired by sequence."""
    rows = []
    for paradigm in PARADIGMS:
        pair = [_find(evidence, paradigm, condition) for condition in ("fine-tuned", "zero-shot")]
        if pair[0] and pair[1]:
            rows.append((paradigm, [_change(pair[0], pair[1], r, m) for r, m in _measures(paradigm)]))
    return ChangeTable([*CHIEF_METRICS], rows)


def ablation(evidence: Sequence[Evidence], columns: Mapping[str, str] = CHIEF_METRICS) -> ScoreTable | None:
    """Each blind run beside the run that differs from it only in seeing everything; None without blind runs.

    Args:
        columns: titles of metrics, which are against the runs' own labels unless they are of facts.
    """
    blind = [item for item in evidence if item.cell.is_blind]
    if not blind:
        return None
    names = dict(zip([item.cell.run_id for item in evidence], titles([item.cell for item in evidence]), strict=True))
    blocks: dict[str, list[tuple[str, list[Entry]]]] = {}  # by what is compared with, so that an adapter's rows are one
    for item in blind:
        whole = _whole(evidence, item.cell)
        measures = _measures(own_reference(item.cell), columns)
        rows = blocks.setdefault(whole.cell.run_id if whole else "", [])
        if whole and not rows:
            rows.append((names[whole.cell.run_id], [entry(whole.cell, r, m) for r, m in measures]))
        changes = [_change(item, whole, r, m) if whole else None for r, m in measures]
        entries = [entry(item.cell, r, m, change) for (r, m), change in zip(measures, changes, strict=True)]
        rows.append((names[item.cell.run_id], entries))
    rows = [row for block in blocks.values() for row in block]
    return ScoreTable("Scores, and their change where something is hidden", [*columns], rows)


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


def _change(after: Evidence, before: Evidence, reference: str, metric: str) -> Change | None:
    return change(after.scores_of(reference, metric), before.scores_of(reference, metric), after.groups)


def _find(evidence: Sequence[Evidence], paradigm: str, condition: str) -> Evidence | None:
    """The first run of that place that saw everything."""
    places = ((item, item.cell) for item in evidence)
    return next(
        (i for i, cell in places if not cell.is_blind and (cell.paradigm, cell.condition) == (paradigm, condition)),
        None,
    )


def _whole(evidence: Sequence[Evidence], blind: Cell) -> Evidence | None:
    """The first run that differs from a blind one only in seeing everything."""
    places = ((item, item.cell) for item in evidence)
    wanted = blind.paradigm, blind.condition, blind.predictor
    return next(
        (i for i, cell in places if not cell.is_blind and (cell.paradigm, cell.condition, cell.predictor) == wanted),
        None,
    )


def _seeing(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if not cell.is_blind] or list(cells)


def _is_scored(cells: Iterable[Cell], reference: str) -> bool:
    return any(name.startswith(f"eval/{reference}/") for cell in cells for name in cell.metrics)
