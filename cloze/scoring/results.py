"""Scores of a run: as tables, one row per sequence, and as means with floors, lift and intervals."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloze.scoring import facts, metrics
from cloze.scoring.contents import contents_signatures
from cloze.scoring.floors import FLOORS, floor_scores
from cloze.scoring.intervals import percentile_interval, resampled_means
from cloze.scoring.measures import measure_signatures
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
    for reference in references:
        scored = {"": reference.score(examples.predictions)}
        scored |= {floor: floor_scores(floor, reference, examples, seed) for floor in FLOORS}
        for floor, by_metric in scored.items():
            columns |= {Column(floor, reference.name, metric): values for metric, values in by_metric.items()}
    return columns


def write_results(out: Path, examples: Examples, columns: Columns) -> None:
    """Write `scores.parquet`, `floors.parquet` and, saying what made the values, `signatures.json`."""
    for name, is_floor in (("scores", False), ("floors", True)):
        chosen = {column: values for column, values in columns.items() if bool(column.floor) is is_floor}
        write_table(_table(name, examples, chosen), out / f"{name}.parquet")
    signatures = metrics.signatures() | {metric: facts.signature() for metric in facts.METRICS}
    signatures |= contents_signatures() | measure_signatures()
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


def n_known(columns: Columns, metric: str) -> dict[str, int]:
    """How many predictions a metric could judge, by reference."""
    own = {c.reference: values for c, values in columns.items() if c.metric == metric and not c.floor}
    return {reference: int((~np.isnan(values)).sum()) for reference, values in own.items()}


def summary(columns: Columns, groups: np.ndarray, resamples: int, seed: int) -> dict[str, float]:
    """Means, floors, lift over the best floor, and intervals of score and lift; what is unknown is left out."""
    values = np.stack(list(columns.values()), axis=1)
    samples = dict(zip(columns, resampled_means(values, groups, resamples, seed).T, strict=True))
    means = {column: float(np.nanmean(scores)) for column, scores in columns.items() if not np.isnan(scores).all()}
    found: dict[str, float] = {}
    for column in (column for column in means if not column.floor):
        name = f"{column.reference}/{column.metric}"
        rivals = [rival for floor in FLOORS if (rival := column._replace(floor=floor)) in means]
        best = max(rivals, key=means.__getitem__)
        found[f"eval/{name}"] = means[column]
        found |= {f"floor/{rival.floor}/{name}": means[rival] for rival in rivals}
        found[f"lift/{name}"] = means[column] - means[best]
        found |= _interval(name, samples[column]) | _interval(f"lift/{name}", samples[column] - samples[best])
    return found


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


def _interval(name: str, sampled: np.ndarray) -> dict[str, float]:
    interval = percentile_interval(sampled)
    ends = {f"ci_low/{name}": interval.low, f"ci_high/{name}": interval.high}
    return {key: end for key, end in ends.items() if not np.isnan(end)}
