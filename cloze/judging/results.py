"""Judgements as a table, and as means by criterion with their floor, lift and intervals."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cloze.judging.cases import Cases
from cloze.judging.prompt import is_cut
from cloze.judging.questions import FOREIGN, PREDICTION, Item, Judgements
from cloze.judging.rubric import RATIONALE, Rubric
from cloze.labels.answers import State
from cloze.scoring.intervals import effective_clusters, percentile_interval, resampled_means
from cloze.tables import table, write_table

logger = logging.getLogger(__name__)

UNASKED = "unasked"  # a prediction without a word: the lowest grades, and nothing is paid for them


@dataclass(frozen=True)
class Judgement:
    """What became of an item.

    Attributes:
        state: of the request (`cloze.labels.answers.State`), or `unasked`.
        grades: by criterion; none unless the judge answered or was not needed.
        billed: reason, model, tokens and cost, as columns of the table.
    """

    item: Item
    state: str
    grades: Mapping[str, int] = field(default_factory=dict)
    rationale: str | None = None
    billed: Mapping[str, Any] = field(default_factory=dict)


def judged(
    items: Sequence[Item], questions: Judgements, answers: Mapping[str, Mapping[str, Any]], rubric: Rubric
) -> list[Judgement]:
    """What became of each item.

    Args:
        answers: rows of the ledger by key; items without words have none.
    """
    found, paid = [], set()
    for item in items:
        if not item.is_asked:
            lowest = {criterion.name: criterion.lowest for criterion in rubric.criteria}
            found.append(Judgement(item, UNASKED, lowest, billed={"reason": "the prediction has no words"}))
            continue
        key = questions.key(item)
        found.append(_judgement(item, answers[key], is_paid=key in paid))
        paid.add(key)
    return found


def write_judgements(judgements: Sequence[Judgement], about: Mapping[str, str], path: Path) -> None:
    """Write `judgements.parquet`; `about` holds what all rows share."""
    rows = (
        {
            "sequence_id": judgement.item.sequence_id,
            "kind": judgement.item.kind,
            "state": judgement.state,
            "grades": [{"criterion": name, "grade": grade} for name, grade in judgement.grades.items()] or None,
            "rationale": judgement.rationale,
            "prediction_digest": hashlib.sha256(judgement.item.text.encode()).hexdigest()[:16],
            **about,
            **judgement.billed,
        }
        for judgement in judgements
    )
    write_table(table("judgements", rows), path)


def counts(judgements: Sequence[Judgement], cases: Cases) -> dict[str, float]:
    """How much was judged, and what not: `judgements_STATE` of predictions, `control_STATE` of other books'."""
    states = Counter((judgement.item.kind, judgement.state) for judgement in judgements)
    named = {f"judgements_{state}": states[PREDICTION, state] for state in (*State, UNASKED)}
    named |= {f"control_{state}": states[FOREIGN, state] for state in State}
    found = {
        "n_predictions": len(cases.examples),
        "n_books": len(np.unique(cases.examples.groups)),
        "n_control": sum(n for (kind, _), n in states.items() if kind == FOREIGN),
        "predictions_without_label": cases.n_without,
        "predictions_cut": sum(is_cut(text) for text in cases.examples.predictions),
        **{name: n for name, n in named.items() if n or name.endswith(f"_{State.OK}")},
    }
    return {name: float(n) for name, n in found.items()}


def summary(
    judgements: Sequence[Judgement], cases: Cases, rubric: Rubric, resamples: int, seed: int
) -> dict[str, float]:
    """Mean, floor, lift and intervals by criterion; what is unknown is left out.

    The lift is paired: over the sequences of the control, the prediction's own grade less the other book's.
    """
    found: dict[str, float] = {}
    for criterion in rubric.criteria:
        own, other = (_grades(judgements, cases, kind, criterion.name) for kind in (PREDICTION, FOREIGN))
        columns = np.stack([own, other, own - other], axis=1)
        samples = resampled_means(columns, cases.examples.groups, resamples, seed).T
        books = effective_clusters(columns, cases.examples.groups).tolist()
        name = f"judge/{criterion.name}"
        for label, values in ((f"eval/{name}", own), (f"floor/foreign/{name}", other), (f"lift/{name}", own - other)):
            if not np.isnan(values).all():
                found[label] = float(np.nanmean(values))
        for label, column in ((name, 0), (f"lift/{name}", 2)):
            interval = percentile_interval(samples[column], books[column])
            ends = {f"ci_low/{label}": interval.low, f"ci_high/{label}": interval.high}
            found |= {end: value for end, value in ends.items() if not np.isnan(value)}
    return found


def say_if_blind(figures: Mapping[str, float], rubric: Rubric) -> None:
    """Warn of criteria by which the judge does not tell a prediction from another book's."""
    for criterion in rubric.criteria:
        low = figures.get(f"ci_low/lift/judge/{criterion.name}")
        if low is not None and low <= 0:
            lift = figures[f"lift/judge/{criterion.name}"]
            logger.warning(
                "%s: predictions get %.2f more than those of other books, and the interval begins at %.2f: "
                "the judge or the predictions are no better than chance",
                *(criterion.name, lift, low),
            )


def _judgement(item: Item, row: Mapping[str, Any], *, is_paid: bool) -> Judgement:
    billed = {name: row[name] for name in ("reason", "model", "input_tokens", "output_tokens", "cost_usd")}
    if is_paid:  # the same text about the same sequence stands in a row above
        billed |= {"input_tokens": 0, "output_tokens": 0, "cost_usd": 0.0}
    if row["state"] != State.OK:
        return Judgement(item, row["state"], billed=billed)
    said = json.loads(row["text"])
    rationale = said.pop(RATIONALE)
    return Judgement(item, State.OK, said, rationale, billed)


def _grades(judgements: Sequence[Judgement], cases: Cases, kind: str, criterion: str) -> np.ndarray:
    """(n,) grades of one kind of item by example; NaN where there is none."""
    known = {
        judgement.item.sequence_id: judgement.grades[criterion]
        for judgement in judgements
        if judgement.item.kind == kind and judgement.grades
    }
    return np.array([known.get(sequence_id, np.nan) for sequence_id in cases.examples.ids])
