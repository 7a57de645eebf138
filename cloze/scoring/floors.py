"""Trivial predictors, scored on the same examples: a score means little until it is above theirs.

Each takes what an honest predictor never has or hardly uses. To add one, write it and name it in FLOORS. COMPARATORS
are scored beside them and are not trivial: no lift is taken over them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from cloze.scoring.metrics import has_words
from cloze.scoring.references import Examples, Reference

References = Mapping[str, Reference]  # all there are, by name
Floor = Callable[[Reference, Examples, int, References], list[str | None]]


def foreign(reference: Reference, examples: Examples, seed: int, others: References) -> list[str | None]:
    """The same kind of reference of a random example of another book: right in style, wrong in content.

    None where no other book has one.
    """
    pool = [i for i, text in enumerate(reference.texts) if has_words(text)]
    picks = of_another_group(examples.groups, examples.ids, pool, seed)
    return [None if pick is None else reference.texts[pick] for pick in picks]


def of_another_group(groups: np.ndarray, ids: Sequence[str], pool: Collection[int], seed: int) -> list[int | None]:
    """For each example the place of a random one of another book; None where there is none.

    The draw depends on the seed and the set of examples, not on their order.

    Args:
        groups: (n,) the book of each example, or its group of reprints.
        ids: (n,) the key of each.
        pool: places that may be drawn.
    """
    order, drawable = _canonical(groups, ids), set(pool)
    places = [i for i in order if i in drawable]  # the books lie together in it
    starts = np.searchsorted(groups[places], groups[order], side="left")
    stops = np.searchsorted(groups[places], groups[order], side="right")
    n_others = len(places) - (stops - starts)
    drawn = np.floor(np.random.default_rng(seed).random(len(order)) * n_others).astype(int)
    drawn += np.where(drawn >= starts, stops - starts, 0)  # step over the own book
    picks: list[int | None] = [None] * len(order)
    for i, pick, n in zip(order, drawn, n_others, strict=True):
        if n:
            picks[i] = places[pick]
    return picks


def length(reference: Reference, examples: Examples, seed: int, others: References) -> list[str | None]:
    """A reference of another book that has as many words as the prediction, or as near as there is; ties at random.

    F1 and BLEU reward texts of the reference's length whatever they say, and a long text hits more words by chance.
    What the prediction gains by its length, this floor gains too. The draw depends on the seed and the set of
    examples and predictions, not on their order. None where no other book has one, and for facts, whose recall does
    not ask how much else is said.
    """
    if reference.name == "facts":
        return [None] * len(examples)
    order = _canonical(examples.groups, examples.ids)
    pool = [i for i in order if has_words(reference.texts[i])]
    blur = np.random.default_rng(seed).random((2, len(order))) / 2  # less than half a word: only ties are decided by it
    wanted = np.array([len(examples.predictions[i].split()) for i in order]) + blur[0]
    there = np.array([len(reference.texts[i].split()) for i in pool]) + blur[1, : len(pool)]
    by_length = np.argsort(there, kind="stable")
    picks = _nearest(wanted, examples.groups[order], there[by_length], examples.groups[pool][by_length])
    texts: list[str | None] = [None] * len(order)
    for i, pick in zip(order, picks, strict=True):
        if pick >= 0:
            texts[i] = reference.texts[pool[by_length[pick]]]
    return texts


def panel5(reference: Reference, examples: Examples, seed: int, others: References) -> list[str | None]:
    """What stands in the last panel that was shown: its lettering, or for facts its facts."""
    return list(reference.panel5)


def context(reference: Reference, examples: Examples, seed: int, others: References) -> list[str | None]:
    """The lettering of all panels that were shown, one after another."""
    return [" ".join(panel["text"] for panel in panels) for panels in examples.context]


def labels(reference: Reference, examples: Examples, seed: int, others: References) -> list[str | None]:
    """What a labeller wrote: the label `pred`, whose writer saw what the model sees; against `pred` itself, `descp`.

    None where there is no such label.
    """
    labeller = others.get("descp" if reference.name == "pred" else "pred")
    if labeller is None:
        return [None] * len(examples)
    return [text if has_words(text) else None for text in labeller.texts]


FLOORS: Mapping[str, Floor] = {"foreign": foreign, "length": length, "panel5": panel5, "context": context}
COMPARATORS: Mapping[str, Floor] = {"labels": labels}
OF_REFERENCES = ("foreign", "length")  # those that need nothing but references


def said(name: str, reference: Reference, examples: Examples, seed: int, others: References) -> list[str | None]:
    """What the named floor or comparator says instead of the model; None where it has nothing to say."""
    return {**FLOORS, **COMPARATORS}[name](reference, examples, seed, others)


def floor_scores(
    name: str, reference: Reference, examples: Examples, seed: int, others: References
) -> dict[str, np.ndarray]:
    """Scores (n,) of the named floor or comparator against a reference, by metric; NaN where either is unknown."""
    texts = said(name, reference, examples, seed, others)
    unknown = np.array([text is None for text in texts])
    scores = reference.score([text or "" for text in texts])
    for values in scores.values():
        values[unknown] = np.nan
    return dict(scores)


def _canonical(groups: np.ndarray, ids: Sequence[str]) -> list[int]:
    """Places of the examples by book and id, which does not depend on their order."""
    return sorted(range(len(ids)), key=lambda i: (groups[i], ids[i]))


def _nearest(wanted: np.ndarray, groups: np.ndarray, there: np.ndarray, there_groups: np.ndarray) -> np.ndarray:
    """For each wanted value the place of the nearest one that is there in another group; -1 where none is.

    Args:
        wanted: (n,) values.
        groups: (n,) their groups.
        there: (m,) values to choose from, ascending.
        there_groups: (m,) their groups.
    """
    m = len(there)
    if not m:
        return np.full(len(wanted), -1)
    changes = np.flatnonzero(there_groups[1:] != there_groups[:-1])  # the last places of runs of one group
    last = np.append(changes, m - 1)
    first = np.append(0, changes + 1)
    run = np.searchsorted(last, np.arange(m))  # which run a place is in
    at = np.searchsorted(there, wanted)
    above = np.minimum(at, m - 1)
    above = np.where((at < m) & (there_groups[above] == groups), last[run[above]] + 1, at)  # m: none
    below = np.maximum(at - 1, 0)
    below = np.where((at > 0) & (there_groups[below] == groups), first[run[below]] - 1, at - 1)  # -1: none
    gap_above = np.where(above < m, there[np.minimum(above, m - 1)] - wanted, np.inf)
    gap_below = np.where(below >= 0, wanted - there[np.maximum(below, 0)], np.inf)
    return np.where(np.isinf(np.minimum(gap_above, gap_below)), -1, np.where(gap_above < gap_below, above, below))
