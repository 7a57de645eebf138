"""Trivial predictors, scored on the same examples: a score means little until it is above theirs.

Each takes what an honest predictor never has or hardly uses. To add one, write it and name it in FLOORS.
"""

from collections.abc import Callable, Mapping

import numpy as np

from cloze.scoring.metrics import has_words
from cloze.scoring.references import Examples, Reference

Floor = Callable[[Reference, Examples, int], list[str | None]]


def foreign(reference: Reference, examples: Examples, seed: int) -> list[str | None]:
    """The same kind of reference of a random example of another book: right in style, wrong in content.

    The draw depends on the seed and the set of examples, not on their order. None where no other book has one.
    """
    order = sorted(range(len(examples)), key=lambda i: (examples.groups[i], examples.ids[i]))
    pool = [i for i in order if has_words(reference.texts[i])]  # the books lie together in it
    pool_groups = examples.groups[pool]
    starts = np.searchsorted(pool_groups, examples.groups[order], side="left")
    stops = np.searchsorted(pool_groups, examples.groups[order], side="right")
    others = len(pool) - (stops - starts)
    drawn = np.floor(np.random.default_rng(seed).random(len(order)) * others).astype(int)
    drawn += np.where(drawn >= starts, stops - starts, 0)  # step over the own book
    texts: list[str | None] = [None] * len(order)
    for i, pick, n_others in zip(order, drawn, others, strict=True):
        if n_others:
            texts[i] = reference.texts[pool[pick]]
    return texts


def panel5(reference: Reference, examples: Examples, seed: int) -> list[str | None]:
    """What stands in the last panel that was shown: its lettering, or for facts its facts."""
    return list(reference.panel5)


def context(reference: Reference, examples: Examples, seed: int) -> list[str | None]:
    """The lettering of all panels that were shown, one after another."""
    return [" ".join(panel["text"] for panel in panels) for panels in examples.context]


# Those that need nothing but references.
OF_REFERENCES = ("foreign",)
FLOORS: Mapping[str, Floor] = {"foreign": foreign, "panel5": panel5, "context": context}


def floor_scores(name: str, reference: Reference, examples: Examples, seed: int) -> dict[str, np.ndarray]:
    """Scores (n,) of the named floor against a reference, by metric; NaN where either is unknown."""
    texts = FLOORS[name](reference, examples, seed)
    unknown = np.array([text is None for text in texts])
    scores = reference.score([text or "" for text in texts])
    for values in scores.values():
        values[unknown] = np.nan
    return dict(scores)
