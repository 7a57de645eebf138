"""A score is only shown as an estimate: with its interval, its best floor and its lift."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cloze.reporting.cells import PARADIGMS, Cell
from cloze.scoring.intervals import percentile_interval, resampled_means

TEXT_METRICS = {"rougeL": "ROUGE-L", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "bleu": "BLEU"}
FACT_METRICS = {
    "recall": "all facts",
    "recall_picture": "facts in the picture only",
    "recall_lettering": "facts in the lettering only",
    "recall_both": "facts in both",
}
REFERENCES = {"pred": "pred label", "descp": "descp label", "lettering": "lettering", "facts": "facts"}

_RESAMPLES = 2000
_SEED = 42


@dataclass(frozen=True)
class Estimate:
    """A mean score with what it takes to read it; None where something is unknown."""

    score: float
    low: float | None
    high: float | None
    floor: float
    floor_name: str
    lift: float
    lift_low: float | None
    lift_high: float | None

    @property
    def top(self) -> float:
        """The largest value that is part of it."""
        return max(self.score, self.floor, self.high or 0.0)


@dataclass(frozen=True)
class Change:
    """Mean difference of two runs on the sequences that both predicted, with its interval."""

    difference: float
    low: float | None
    high: float | None
    n_sequences: int
    n_books: int


def estimate(cell: Cell, reference: str, metric: str) -> Estimate | None:
    """The cell's mean score against a reference; None where it was not measured, or not with a floor."""
    metrics, name = cell.metrics, f"{reference}/{metric}"
    floors = _floors(metrics, name)
    if f"eval/{name}" not in metrics or not floors:
        return None
    best = max(floors, key=floors.__getitem__)
    return Estimate(
        score=metrics[f"eval/{name}"],
        low=metrics.get(f"ci_low/{name}"),
        high=metrics.get(f"ci_high/{name}"),
        floor=floors[best],
        floor_name=best,
        lift=metrics[f"eval/{name}"] - floors[best],
        lift_low=metrics.get(f"ci_low/lift/{name}"),
        lift_high=metrics.get(f"ci_high/lift/{name}"),
    )


def own_reference(cell: Cell) -> str:
    """The reference that the cell is judged by first: its own labels, or the lettering where there are none."""
    is_labelled = cell.paradigm in PARADIGMS and any(name.startswith(f"eval/{cell.paradigm}/") for name in cell.metrics)
    return cell.paradigm if is_labelled else "lettering"


def change(after: pd.Series, before: pd.Series, groups: Mapping[str, int]) -> Change | None:
    """Paired difference of per-sequence scores, with a bootstrap interval clustered by book.

    Args:
        after: scores of one run by sequence_id; NaN where unknown.
        before: scores of the other.
        groups: the book (or group of reprints) of each sequence.

    Returns:
        The change over the sequences that have both scores; None where there is none.
    """
    both = (after - before).dropna().sort_index()
    if not len(both):
        return None
    books = np.array([groups[str(key)] for key in both.index])
    values = both.to_numpy(dtype=float)
    low, high = percentile_interval(resampled_means(values[:, None], books, _RESAMPLES, _SEED)[:, 0])
    known = not math.isnan(low)
    return Change(
        float(values.mean()), low if known else None, high if known else None, len(values), len(np.unique(books))
    )


def _floors(metrics: Mapping[str, float], name: str) -> dict[str, float]:
    found = {}
    for key, value in metrics.items():
        kind, _, rest = key.partition("/")
        floor, _, of = rest.partition("/")
        if kind == "floor" and of == name:
            found[floor] = value
    return found
