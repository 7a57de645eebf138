"""How runs write, beside how labels are written; and what they tell: names, dialogue, scene."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cloze.reporting.cells import Cell, titles
from cloze.reporting.contrasts import Compared
from cloze.reporting.estimates import CONTENT_METRICS, REFERENCES, own_reference
from cloze.reporting.evidence import Evidence
from cloze.reporting.score_tables import ScoreTable, ablation, entry

COLUMNS = {
    "words": "words",
    "length_ratio": "words per word of the label",
    "rep4": "4-grams repeated",
    "copy4": "4-grams copied",
    "copied_span": "longest copy, words",
    "unsupported_names": "names without support",
    "same_opening": "open alike",
}
_LABELS = ("pred", "descp")


@dataclass(frozen=True)
class Trait:
    """A mean measure of the texts of a run or of labels; None where unknown.

    Attributes:
        difference: from the run's own labels, paired by sequence.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None


@dataclass(frozen=True)
class TraitTable:
    """Traits in rows and columns; None where unknown."""

    columns: list[str]
    rows: list[tuple[str, list[Trait | None]]]


def writing_table(cells: Sequence[Cell]) -> TraitTable | None:
    """A row per run, then one per kind of label; None where nothing was measured.

    Labels stand there once, unless runs were judged on different sequences.
    """
    rows = [
        (name, [_trait(cell, measure) for measure in COLUMNS]) for name, cell in zip(titles(cells), cells, strict=True)
    ]
    labels: list[tuple[str, list[Trait | None]]] = []
    for label in _LABELS:
        for cell in cells:
            row = REFERENCES[label], [_of_label(cell, measure, label) for measure in COLUMNS]
            if any(row[1]) and row not in labels:
                labels.append(row)
    return TraitTable([*COLUMNS.values()], rows + labels) if any(any(traits) for _, traits in rows) else None


def content_table(cells: Sequence[Cell]) -> ScoreTable | None:
    """What runs that saw everything say, describe and name, against their own labels; None without labels."""
    seeing = [cell for cell in cells if not cell.is_blind] or list(cells)
    rows = [
        (name, [entry(cell, own_reference(cell), metric) for metric in CONTENT_METRICS])
        for name, cell in zip(titles(seeing), seeing, strict=True)
    ]
    if not any(found.estimate for _, entries in rows for found in entries):
        return None
    return ScoreTable("Dialogue, scene and names, against the run's own labels", [*CONTENT_METRICS.values()], rows)


def content_ablation(evidence: Sequence[Evidence], compared: Sequence[Compared]) -> ScoreTable | None:
    """What hiding something does to dialogue, scene and names; None without blind runs that have labels."""
    columns = {title: metric for metric, title in CONTENT_METRICS.items() if metric != "names"}
    found = ablation(evidence, compared, columns)
    is_known = found is not None and any(entry.estimate for _, entries in found.rows for entry in entries)
    return found if is_known else None


def n_named(cells: Sequence[Cell]) -> list[tuple[str, int]]:
    """How many labels name somebody who could be known, by kind of label, as the first run that has them counts."""
    counts: dict[str, int] = {}
    for label in _LABELS:
        found = [cell.metrics[name] for cell in cells if (name := f"named_references/{label}") in cell.metrics]
        if found:
            counts[REFERENCES[label]] = int(found[0])
    return list(counts.items())


def _trait(cell: Cell, measure: str) -> Trait | None:
    own, metrics = own_reference(cell), cell.metrics
    name = f"measure/{measure}/{own if measure == 'length_ratio' else 'prediction'}"
    if name not in metrics:
        return None
    less = f"difference/{measure}/{own}"
    return Trait(metrics[name], *_ends(metrics, name), metrics.get(less), *_ends(metrics, less))


def _of_label(cell: Cell, measure: str, label: str) -> Trait | None:
    name = f"measure/{measure}/{label}"
    return Trait(cell.metrics[name]) if name in cell.metrics and measure != "length_ratio" else None


def _ends(metrics: Mapping[str, float], name: str) -> tuple[float | None, float | None]:
    return metrics.get(f"ci_low/{name}"), metrics.get(f"ci_high/{name}")
