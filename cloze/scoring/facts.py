"""Exact-fact recall on the sample: which facts of the target panel does a prediction name?"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cloze.errors import DataError
from cloze.tables import read_table

SEEN_IN = ("picture", "lettering", "both")
METRICS = ("recall", *(f"recall_{place}" for place in SEEN_IN))

_WORD = re.compile(r"\w+")


class Fact(NamedTuple):
    """One thing that is so in a panel, such as (`weather`, `rain`, `picture`)."""

    fact: str
    value: str
    seen_in: str


def is_recalled(fact: Fact, prediction: str) -> bool:
    """Whether the fact's value occurs in the prediction as whole words, in any case and with any punctuation."""
    return _words(fact.value) in _words(prediction)


def fact_scores(predictions: Sequence[str], facts: Sequence[Sequence[Fact]]) -> dict[str, np.ndarray]:
    """Share of each example's facts that its prediction names, over all and by where they can be seen.

    Returns:
        For each of METRICS an array (n,) of values from 0 to 1. NaN where the example has no such fact.

    Raises:
        ValueError: the lengths differ.
    """
    scores = {metric: np.full(len(facts), np.nan) for metric in METRICS}
    for i, (prediction, known) in enumerate(zip(predictions, facts, strict=True)):
        hits = [(fact.seen_in, is_recalled(fact, prediction)) for fact in known]
        for metric, place in zip(METRICS, ("", *SEEN_IN), strict=True):
            chosen = [hit for seen_in, hit in hits if place in ("", seen_in)]
            if chosen:
                scores[metric][i] = sum(chosen) / len(chosen)
    return scores


def signature() -> str:
    """What makes the values of fact recall."""
    return "recall|whole words|casefold|mean over examples"


def read_facts(path: Path | str) -> dict[str, list[Fact]]:
    """The facts of each panel, by panel_id.

    Raises:
        DataError: a row that is there twice, a `seen_in` we do not know, or a value without a word in it.
    """
    facts: dict[str, list[Fact]] = {}
    for number, row in enumerate(read_table(path, "facts").to_pylist()):
        panel = facts.setdefault(row["panel_id"], [])
        fact = Fact(row["fact"], row["value"], row["seen_in"])
        problem = _problem(fact, panel)
        if problem:
            raise DataError(f"{path}: row {number}", f"{problem} (panel {row['panel_id']}, fact {fact.fact})")
        panel.append(fact)
    return facts


def _problem(fact: Fact, panel: list[Fact]) -> str:
    if fact.seen_in not in SEEN_IN:
        return f"seen_in is {fact.seen_in!r}; it must be one of {', '.join(SEEN_IN)}"
    if not fact.value or not _WORD.search(fact.value):
        return f"value {fact.value!r} has no word in it, so no prediction could name it"
    return "the same fact is there twice" if fact in panel else ""


def _words(text: str) -> str:
    """The words of a text, each between single blanks, so that `in` finds whole words only."""
    return f" {' '.join(_WORD.findall(text.casefold()))} "
