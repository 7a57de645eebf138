"""Scores of people's own rows: row by row, or together with floors, lift and intervals, as `eval` has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cloze.errors import DataError, SettingsError
from cloze.scoring import metrics
from cloze.scoring.bertscore import BertScore
from cloze.scoring.bleu import cores
from cloze.scoring.floors import OF_REFERENCES
from cloze.scoring.references import Examples, text_reference
from cloze.scoring.results import score, summary
from cloze.scoring.rows import Rows

_REFERENCE = "reference"

Record = dict[str, Any]  # a line of output; None where a value is unknown


@dataclass(frozen=True)
class Report:
    """What rows score together.

    Attributes:
        counts: rows, clusters, and what could not be scored.
        clustered_by: what the intervals took as depending on each other.
        metrics: per metric its score, floors, lift, 95 % intervals and signature.
    """

    counts: dict[str, int]
    clustered_by: str
    metrics: list[Record]


def row_scores(rows: Rows, names: Sequence[str], encoder: BertScore | None) -> list[Record]:
    """Scores of each row; None where its reference has no words.

    Raises:
        SettingsError: a metric that no single row has.
    """
    if metrics.CORPUS in names:
        raise SettingsError("metrics", metrics.CORPUS, "left out per row: it is of all rows; take sacrebleu_sentence")
    columns = metrics.text_scores(rows.predictions, rows.references, names, encoder, cores())
    values = zip(*(columns[name].tolist() for name in names), strict=True)
    return [
        {"sequence_id": key, **{name: _known(value) for name, value in zip(names, scores, strict=True)}}
        for key, scores in zip(rows.ids, values, strict=True)
    ]


def report(rows: Rows, names: Sequence[str], encoder: BertScore | None, resamples: int, seed: int) -> Report:
    """Scores of all rows together, beside the floors that need nothing but references.

    Raises:
        DataError: no reference has a word.
    """
    if not any(map(metrics.has_words, rows.references)):
        raise DataError("rows", "no reference has a word", "nothing can be scored")
    examples = Examples(rows.ids, rows.predictions, rows.clusters, [[] for _ in rows.ids], [])
    reference = text_reference(_REFERENCE, rows.references, examples, names)
    columns = score(examples, [reference], seed, encoder, OF_REFERENCES)
    found = summary(columns, examples.groups, resamples, seed)
    made = metrics.signatures(names, encoder)
    return Report(
        counts=row_counts(rows, encoder),
        clustered_by=rows.clustered_by,
        metrics=[_record(name, found) | {"signature": made[name]} for name in names],
    )


def row_counts(rows: Rows, encoder: BertScore | None) -> dict[str, int]:
    """How many rows and clusters there are, and how many could not be scored or not whole."""
    found = {
        "rows": len(rows.ids),
        "clusters": len(np.unique(rows.clusters)),
        "empty_predictions": sum(not metrics.has_words(text) for text in rows.predictions),
        "empty_references": sum(not metrics.has_words(text) for text in rows.references),
    }
    return found | ({"truncated_texts": encoder.n_truncated} if encoder else {})


def _record(metric: str, found: dict[str, float]) -> Record:
    """The values of one metric from the names of `summary`."""
    name = f"{_REFERENCE}/{metric}"
    keys = {"score": f"eval/{name}", "ci_low": f"ci_low/{name}", "ci_high": f"ci_high/{name}"}
    keys |= {f"floor_{floor}": f"floor/{floor}/{name}" for floor in OF_REFERENCES}
    keys |= {"lift": f"lift/{name}", "lift_ci_low": f"ci_low/lift/{name}", "lift_ci_high": f"ci_high/lift/{name}"}
    return {"metric": metric} | {key: found.get(where) for key, where in keys.items()}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
