"""Scores of a run: as tables, one row per sequence, and as means with floors, lift and intervals."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloze.scoring import metrics
from cloze.scoring.bertscore import BertScore, scores_together
from cloze.scoring.bleu import Pair
from cloze.scoring.floors import COMPARATORS, FLOORS, floor_scores, said
from cloze.scoring.intervals import LEVEL, Interval, effective_clusters, percentile_interval, resampled_means
from cloze.scoring.references import Examples, Reference
from cloze.tables import SCHEMAS, write_table


class Column(NamedTuple):
    """What one column of scores holds; `floor` is empty where it is the model's."""

    floor: str
    reference: str
    metric: str


Columns = Mapping[Column, np.ndarray]

N_SHOWN = 48  # examples in the table that MLflow's pages show
_CHIEFS = ("recall", "rougeL")  # the metric shown beside an example; the first that there is where it has neither


def score(
    examples: Examples,
    references: Sequence[Reference],
    seed: int,
    encoder: BertScore | None = None,
    floors: Sequence[str] = (*FLOORS, *COMPARATORS),
) -> Columns:
    """Scores (n,) of the predictions and of each floor, by reference and metric; NaN where unknown.

    Those of `sacrebleu` are counts (n, 10), see `metrics.text_scores`. With an encoder, BERTScore is among them.
    """
    columns: dict[Column, np.ndarray] = {}
    by_name = {reference.name: reference for reference in references}
    for reference in references:
        scored = {"": reference.score(examples.predictions)}
        scored |= {floor: floor_scores(floor, reference, examples, seed, by_name) for floor in floors}
        for floor, by_metric in scored.items():
            columns |= {Column(floor, reference.name, metric): values for metric, values in by_metric.items()}
    if encoder is not None:
        columns |= _bertscores(examples, references, seed, encoder, floors)
    return columns


def write_results(out: Path, examples: Examples, columns: Columns, signatures: Mapping[str, str]) -> None:
    """Write `scores.parquet`, `floors.parquet` and, saying what made the values, `signatures.json`."""
    for name, is_floor in (("scores", False), ("floors", True)):
        chosen = {column: v for column, v in columns.items() if bool(column.floor) is is_floor and v.ndim == 1}
        write_table(_table(name, examples, chosen), out / f"{name}.parquet")
    (out / "signatures.json").write_text(json.dumps(signatures, indent=1) + "\n")


def write_examples(out: Path, examples: Examples, references: Iterable[Reference], columns: Columns) -> None:
    """Write `examples.parquet`: up to N_SHOWN examples, evenly over the table, with all texts and a score for each."""
    rows = np.unique(np.linspace(0, len(examples) - 1, min(N_SHOWN, len(examples))).astype(int))
    shown: dict[str, list[str] | np.ndarray] = {
        "sequence_id": [examples.ids[i] for i in rows],
        "prediction": [examples.predictions[i] for i in rows],
    }
    for reference in references:
        shown[reference.name] = [reference.texts[i] for i in rows]
        for metric in _chief(reference, columns):
            shown[f"{metric}/{reference.name}"] = columns[Column("", reference.name, metric)][rows]
    write_table(
        pa.table({name: pa.array(values, from_pandas=True) for name, values in shown.items()}), out / "examples.parquet"
    )


def counts(examples: Examples, references: Iterable[Reference]) -> dict[str, float]:
    """How much was scored, and what could not be."""
    found = {
        "n_predictions": len(examples),
        "n_books": len(np.unique(examples.groups)),
        "empty_predictions": sum(not metrics.has_words(text) for text in examples.predictions),
    }
    for reference in references:
        found[f"empty_references/{reference.name}"] = reference.n_empty
        if reference.missing is not None:
            found[f"missing_references/{reference.name}"] = reference.missing
    return {name: float(count) for name, count in found.items()}


def n_known(columns: Columns, metric: str) -> dict[str, int]:
    """How many predictions a metric could judge, by reference."""
    own = {c.reference: values for c, values in columns.items() if c.metric == metric and not c.floor}
    return {reference: int((~np.isnan(values)).sum()) for reference, values in own.items()}


def summary(
    columns: Columns,
    groups: np.ndarray,
    resamples: int,
    seed: int,
    floors: Collection[str] = FLOORS.keys(),
    comparators: Collection[str] = COMPARATORS.keys(),
) -> dict[str, float]:
    """Values of all metrics, floors, lift over the best floor, and intervals of score and lift.

    What is unknown is left out, and so is the lift where no floor is known. Comparators are told beside the floors.
    """
    samples = _samples(columns, groups, resamples, seed)
    books = {column: _books(values, groups) for column, values in columns.items()}
    means = {column: metrics.aggregate(column.metric, values) for column, values in columns.items()}
    means = {column: mean for column, mean in means.items() if not np.isnan(mean)}
    found: dict[str, float] = {}
    for column in (column for column in means if not column.floor):
        name = f"{column.reference}/{column.metric}"
        beside = {floor: column._replace(floor=floor) for floor in (*floors, *comparators)}
        found[f"eval/{name}"] = means[column]
        found |= {f"floor/{floor}/{name}": means[rival] for floor, rival in beside.items() if rival in means}
        found |= _ends(name, percentile_interval(samples[column], books[column]))
        rivals = [rival for floor, rival in beside.items() if floor in floors and rival in means]
        if rivals:
            found[f"lift/{name}"] = means[column] - max(means[rival] for rival in rivals)
            lifts = [(samples[column] - samples[rival], min(books[column], books[rival])) for rival in rivals]
            found |= _ends(f"lift/{name}", lift_interval(lifts))
    return found


def lift_interval(lifts: Sequence[tuple[np.ndarray, float]]) -> Interval:
    """A 95 % interval of the lift over the best floor, whichever of K floors that is.

    Which floor is best in truth is not known, and the one that came out best is, on average, too good: an interval
    of the lift over that one alone would be off by the choice. The true lift is the least of K lifts. It lies above
    the least of their lower ends (intersection-union, Berger 1982, Technometrics 24: no correction is needed), and
    below the least of their upper ends, each left out with 1/K of the usual probability (Bonferroni).

    Args:
        lifts: for each floor the resampled lifts over it (resamples,), and the effective number of books behind them.
    """
    tail = (1 - LEVEL) / 2
    lows = [percentile_interval(sampled, books, tail).low for sampled, books in lifts]
    highs = [percentile_interval(sampled, books, tail / len(lifts)).high for sampled, books in lifts]
    return Interval(min(lows), min(highs)) if not np.isnan([*lows, *highs]).any() else Interval(np.nan, np.nan)


def _bertscores(
    examples: Examples, references: Sequence[Reference], seed: int, encoder: BertScore, floors: Sequence[str]
) -> Columns:
    """Columns of BERTScore, all references and floors at once: they share most of their texts."""
    by_name = {reference.name: reference for reference in references}
    pairs: dict[tuple[str, str], list[Pair | None]] = {}
    for reference in (reference for reference in references if reference.is_text):
        spoken: dict[str, list[str | None]] = {"": [*examples.predictions]}
        spoken |= {floor: said(floor, reference, examples, seed, by_name) for floor in floors}
        pairs |= {(floor, reference.name): _pairs(texts, reference.texts) for floor, texts in spoken.items()}
    return {
        Column(floor, name, metric): values
        for (floor, name), scores in scores_together(encoder, pairs).items()
        for metric, values in scores.items()
    }


def _pairs(texts: Sequence[str | None], wanted: Sequence[str]) -> list[Pair | None]:
    """What can be scored; None where either is unknown."""
    pairs = zip(texts, wanted, strict=True)
    return [
        None if text is None or not metrics.has_words(reference) else (text, reference) for text, reference in pairs
    ]


def _samples(columns: Columns, groups: np.ndarray, resamples: int, seed: int) -> dict[Column, np.ndarray]:
    """Values (resamples,) of each column over the same bootstrap samples of whole groups."""
    widths = [1 if values.ndim == 1 else values.shape[1] for values in columns.values()]
    means = resampled_means(np.column_stack(list(columns.values())), groups, resamples, seed)
    parts = np.split(means, np.cumsum(widths)[:-1], axis=1)
    return {
        column: metrics.aggregate_samples(column.metric, part, values)
        for (column, values), part in zip(columns.items(), parts, strict=True)
    }


def _chief(reference: Reference, columns: Columns) -> list[str]:
    """The metric to show beside an example; none where none is of single examples."""
    there = [c.metric for c, v in columns.items() if (c.floor, c.reference) == ("", reference.name) and v.ndim == 1]
    return sorted(there, key=lambda metric: metric not in _CHIEFS)[:1]


def _table(name: str, examples: Examples, columns: Columns) -> pa.Table:
    """Columns of scores one below the other; unknown scores become NULL."""
    n, schema = len(examples), SCHEMAS[name]
    words = {field: _repeated([getattr(column, field) for column in columns], n) for field in Column._fields}
    ids = pa.array(examples.ids, pa.string())
    words["sequence_id"] = pa.chunked_array([ids] * len(columns), pa.string())
    scores = pa.chunked_array([pa.array(v, pa.float64(), from_pandas=True) for v in columns.values()], pa.float64())
    return pa.Table.from_arrays([scores if n == "score" else words[n] for n in schema.names], schema=schema)


def _repeated(words: Sequence[str], times: int) -> pa.ChunkedArray:
    """Each word so many times, one after another."""
    return pa.chunked_array([pa.repeat(pa.scalar(word, pa.string()), times) for word in words], pa.string())


def _books(values: np.ndarray, groups: np.ndarray) -> float:
    """Effective number of groups behind a column."""
    return float(effective_clusters(values.reshape(len(values), -1)[:, :1], groups)[0])


def _ends(name: str, interval: Interval) -> dict[str, float]:
    ends = {f"ci_low/{name}": interval.low, f"ci_high/{name}": interval.high}
    return {key: end for key, end in ends.items() if not np.isnan(end)}
