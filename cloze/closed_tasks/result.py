"""From scores to an accuracy, and how sure it is."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloze.closed_tasks.items import Item
from cloze.scoring.intervals import (
    Interval,
    clustered_stderr,
    effective_clusters,
    percentile_interval,
    resampled_means,
)

_EQUAL = 1e-9  # scores nearer than this, relative to the larger, are the same


@dataclass(frozen=True)
class Choices:
    """What a scorer chose.

    Attributes:
        best: (n, candidates) True where a candidate has the best score.
        credit: (n,) 1 where the right candidate alone is best, 1/k where it is one of k best, else 0: what drawing
            one of the best would give on average.
    """

    best: np.ndarray
    credit: np.ndarray

    @property
    def ties(self) -> int:
        """Items with several best candidates."""
        return int((self.best.sum(axis=1) > 1).sum())


def choose(items: Sequence[Item], scores: Sequence[Sequence[float]]) -> Choices:
    """The best-scored candidates of each item.

    Args:
        scores: one for each candidate of each item, higher is better.

    Raises:
        ValueError: a score is not a number.
    """
    values = np.array(scores, dtype=float).reshape(len(items), -1)
    if np.isnan(values).any():
        raise ValueError(f"item {items[int(np.isnan(values).any(axis=1).argmax())].item_id}: a score is not a number")
    top = values.max(axis=1, keepdims=True)
    best = (values == top) | (values >= top - _EQUAL * np.abs(top))
    right = best[np.arange(len(items)), [item.answer for item in items]]
    return Choices(best, right / best.sum(axis=1))


def accuracy(items: Sequence[Item], choices: Choices, resamples: int, seed: int) -> dict[str, float | int | None]:
    """Mean credit, its standard error and 95 % interval, clustered by book; None where a single book hides them."""
    books = np.array([item.book for item in items])
    column = choices.credit[:, None]
    means = resampled_means(column, books, resamples, seed)[:, 0]
    interval: Interval = percentile_interval(means, float(effective_clusters(column, books)[0]))
    return {
        "accuracy": float(choices.credit.mean()),
        "stderr_clustered": _known(clustered_stderr(choices.credit, books)),
        "ci_low": _known(interval.low),
        "ci_high": _known(interval.high),
        "n": len(items),
        "n_books": len(np.unique(books)),
        "ties": choices.ties,
    }


def controls(items: Sequence[Item]) -> dict[str, float]:
    """What is right without reading: chance, always the longest or the shortest candidate, always the same place.

    Length is that of a candidate's first box in characters.
    """
    lengths = [[len(boxes[0]) for boxes in item.candidates] for item in items]
    answers = np.bincount([item.answer for item in items])
    return {
        "chance": float(np.mean([1 / len(item.candidates) for item in items])),
        "longest": float(choose(items, lengths).credit.mean()),
        "shortest": float(choose(items, [[-n for n in some] for some in lengths]).credit.mean()),
        "commonest_place": float(answers.max() / answers.sum()),
    }


def rows(
    items: Sequence[Item], scores: Mapping[str, Sequence[Sequence[float]]], chosen_by: str
) -> list[dict[str, Any]]:
    """One record for each item: scores of its candidates, the choice (None at a tie), what is right, the credit."""
    choices = choose(items, scores[chosen_by])
    return [
        {
            "item_id": item.item_id,
            "book": item.book,
            "scores": list(scores[chosen_by][n]),
            **{f"scores_{name}": list(found[n]) for name, found in scores.items() if len(scores) > 1},
            "choice": int(choices.best[n].argmax()) if choices.best[n].sum() == 1 else None,
            "right": item.answer,
            "correct": float(choices.credit[n]),
        }
        for n, item in enumerate(items)
    ]


def items_digest(items: Sequence[Item]) -> str:
    """Twelve hex digits: accuracies of equal digests are about the same questions and may be compared."""
    told = [[item.item_id, [panel.boxes for panel in item.context], item.candidates, item.answer] for item in items]
    return hashlib.sha256(json.dumps(sorted(told)).encode()).hexdigest()[:12]


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
