"""Scores of a run: as tables, one row per sequence, and as means with floors, lift and intervals."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloze.scoring import facts, metrics
from cloze.scoring.floors import COMPARATORS, FLOORS, floor_scores
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
_CHIEF = {"facts": "recall"}  # the metric shown beside an example; rougeL for texts


def score(examples: Examples, references: Iterable[Reference], seed: int) -> Columns:
    """Scores (n,) of the predictions and of each floor, by reference and metric; NaN where unknown."""
    columns: dict[Column, np.ndarray] = {}
    by_name = {reference.name: reference for reference in references}
    for reference in by_name.values():
        scored = {"": reference.score(examples.predictions)}
        for floor in (*FLOORS, *COMPARATORS):
            scored[floor] = floor_scores(floor, reference, examples, seed, by_name)
        for floor, by_metric in scored.items():
            columns |= {Column(floor, reference.name, metric): values for metric, values in by_metric.items()}
    return columns


def write_results(out: Path, examples: Examples, columns: Columns) -> None:
    """Write `scores.parquet`, `floors.parquet` and, saying what made the values, `signatures.json`."""
    for name, is_floor in (("scores", False), ("floors", True)):
        chosen = {column: values for column, values in columns.items() if bool(column.floor) is is_floor}
        write_table(_table(name, examples, chosen), out / f"{name}.parquet")
    signatures = metrics.signatures() | {metric: facts.signature() for metric in facts.METRICS}
    (out / "signatures.json").write_text(json.dumps(signatures, indent=1) + "\n")


def write_examples(out: Path, examples: Examples, references: Iterable[Reference], columns: Columns) -> None:
    """Write `examples.parquet`: up to N_SHOWN examples, evenly over the table, with all texts and a score for each."""
    rows = np.unique(np.linspace(0, len(examples) - 1, min(N_SHOWN, len(examples))).astype(int))
    shown: dict[str, list[str] | np.ndarray] = {
        "sequence_id": [examples.ids[i] for i in rows],
        "prediction": [examples.predictions[i] for i in rows],
    }
    for reference in references:
        metric = _CHIEF.get(reference.name, "rougeL")
        shown[reference.name] = [reference.texts[i] for i in rows]
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


def summary(columns: Columns, groups: np.ndarray, resamples: int, seed: int) -> dict[str, float]:
    """Means, floors, lift over the best floor, and intervals of score and lift; what is unknown is left out."""
    values = np.stack(list(columns.values()), axis=1)
    samples = dict(zip(columns, resampled_means(values, groups, resamples, seed).T, strict=True))
    books = dict(zip(columns, effective_clusters(values, groups).tolist(), strict=True))
    means = {column: float(np.nanmean(scores)) for column, scores in columns.items() if not np.isnan(scores).all()}
    found: dict[str, float] = {}
    for column in (column for column in means if not column.floor):
        name = f"{column.reference}/{column.metric}"
        beside = {floor: column._replace(floor=floor) for floor in (*FLOORS, *COMPARATORS)}
        found[f"eval/{name}"] = means[column]
        found |= {f"floor/{floor}/{name}": means[rival] for floor, rival in beside.items() if rival in means}
        rivals = [rival for floor, rival in beside.items() if floor in FLOORS and rival in means]
        found[f"lift/{name}"] = means[column] - max(means[rival] for rival in rivals)
        lifts = [(samples[column] - samples[rival], min(books[column], books[rival])) for rival in rivals]
        found |= _ends(name, percentile_interval(samples[column], books[column]))
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


def _table(name: str, examples: Examples, columns: Columns) -> pa.Table:
    """Columns of scores one below the other; unknown scores become NULL."""
    words = {
        field: pa.array(np.repeat([getattr(column, field) for column in columns], len(examples)).tolist(), pa.string())
        for field in Column._fields
    }
    words["sequence_id"] = pa.array(examples.ids * len(columns), pa.string())
    scores = pa.array(np.concatenate(list(columns.values())), from_pandas=True)
    schema = SCHEMAS[name]
    return pa.Table.from_arrays([scores if n == "score" else words[n] for n in schema.names], schema=schema)


def _ends(name: str, interval: Interval) -> dict[str, float]:
    ends = {f"ci_low/{name}": interval.low, f"ci_high/{name}": interval.high}
    return {key: end for key, end in ends.items() if not np.isnan(end)}
