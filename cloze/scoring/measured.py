"""Measures of predictions and of labels beside them: as a table, as means with intervals, as counts of suspects."""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from cloze.scoring.intervals import effective_clusters, percentile_interval, resampled_means
from cloze.scoring.measures import MEASURES, is_placeholder, measure, runs_of
from cloze.scoring.metrics import has_words
from cloze.scoring.references import Examples, Reference
from cloze.tables import SCHEMAS, write_table

logger = logging.getLogger(__name__)

PREDICTION = "prediction"
LETTERING = "lettering"
OF_LETTERING = ("words", "copy4", "copied_span")  # the rest is about texts that somebody was asked for
SUSPECTS = {
    "placeholder_predictions": "are only a word like None",
    "repetitive_predictions": "repeat most of their 4-grams",
    "echoing_predictions": "return mostly the prompt's instructions",
    "refusing_predictions": "refuse to answer",
}
_MOST = 0.5


class Measured(NamedTuple):
    """What one column of measures holds; `text` is `prediction` or the name of a reference."""

    text: str
    measure: str


Columns = Mapping[Measured, np.ndarray]


def measure_texts(examples: Examples, references: Iterable[Reference]) -> Columns:
    """Measures (n,) of predictions, labels and lettering; NaN where unknown. What is known of none has no column."""
    shown = [runs_of([panel["text"] for panel in panels]) for panels in examples.context]
    found = measure(examples.predictions, shown, examples.prompt)
    columns = {Measured(PREDICTION, name): values for name, values in found.items()}
    for reference in references:
        if reference.name == "facts":
            continue
        is_there = np.array([has_words(text) for text in reference.texts])
        chosen = OF_LETTERING if reference.name == LETTERING else tuple(MEASURES)
        for name, values in measure(reference.texts, shown, examples.prompt).items():
            if name in chosen:
                columns[Measured(reference.name, name)] = np.where(is_there, values, np.nan)
    return {column: values for column, values in columns.items() if not np.isnan(values).all()}


def write_measures(out: Path, examples: Examples, columns: Columns) -> None:
    """Write `measures.parquet`; unknown values become NULL."""
    n = len(examples)
    words = {
        "sequence_id": pa.array(examples.ids * len(columns), pa.string()),
        "text": pa.array([column.text for column in columns for _ in range(n)], pa.string()),
        "measure": pa.array([column.measure for column in columns for _ in range(n)], pa.string()),
        "value": pa.array(np.concatenate(list(columns.values())), from_pandas=True),
    }
    schema = SCHEMAS["measures"]
    write_table(pa.Table.from_arrays([words[name] for name in schema.names], schema=schema), out / "measures.parquet")


def measured_summary(columns: Columns, groups: np.ndarray, resamples: int, seed: int) -> dict[str, float]:
    """Means of all texts, and with 95 % intervals the predictions' own and how they differ from the references.

    Returns:
        `measure/{measure}/{text}`; `difference/{measure}/{reference}`, predictions less references where both are
        known; `measure/length_ratio/{reference}`, mean words of predictions over mean words of references, where there
        is one. The intervals are `ci_low/...` and `ci_high/...` of the same names.
    """
    found = {f"measure/{c.measure}/{c.text}": float(np.nanmean(values)) for c, values in columns.items()}
    own = {c.measure: values for c, values in columns.items() if c.text == PREDICTION}
    others = {c: values for c, values in columns.items() if c.text != PREDICTION and c.measure in own}
    estimated = {f"measure/{name}/{PREDICTION}": values for name, values in own.items()}
    estimated |= {f"difference/{c.measure}/{c.text}": own[c.measure] - values for c, values in others.items()}
    estimated = {name: values for name, values in estimated.items() if not np.isnan(values).all()}
    lengths = {c.text: values for c, values in others.items() if c.measure == "words"}
    for text, values in lengths.items():
        estimated[f"_written/{text}"] = np.where(np.isnan(values), np.nan, own["words"])
        estimated[f"_wanted/{text}"] = values
    stacked = np.stack(list(estimated.values()), axis=1)
    samples = resampled_means(stacked, groups, resamples, seed)
    books = dict(zip(estimated, effective_clusters(stacked, groups).tolist(), strict=True))
    by_name = dict(zip(estimated, samples.T, strict=True))
    means = {name: float(np.nanmean(values)) for name, values in estimated.items()}
    for text in lengths:
        name = f"measure/length_ratio/{text}"
        means[name] = means.pop(f"_written/{text}") / means.pop(f"_wanted/{text}")
        books[name] = books[f"_wanted/{text}"]
        by_name[name] = by_name.pop(f"_written/{text}") / by_name.pop(f"_wanted/{text}")
    for name, mean in means.items():
        interval = percentile_interval(by_name[name], books[name])
        found[name] = mean
        if not np.isnan(interval.low):
            found |= {f"ci_low/{name}": interval.low, f"ci_high/{name}": interval.high}
    return found


def suspects(examples: Examples, columns: Columns) -> dict[str, float]:
    """How many predictions look like no answer, by SUSPECTS; a warning names the first of each kind."""
    nothing = np.full(len(examples), np.nan)
    own = {name: columns.get(Measured(PREDICTION, name), nothing) for name in MEASURES}
    flags = {
        "placeholder_predictions": np.array([is_placeholder(text) for text in examples.predictions]),
        "repetitive_predictions": own["rep4"] > _MOST,
        "echoing_predictions": own["prompt_echo"] > _MOST,
        "refusing_predictions": own["refusal"] > 0,
    }
    for name, is_suspect in flags.items():
        if is_suspect.any():
            first = examples.ids[int(is_suspect.argmax())]
            n, of = int(is_suspect.sum()), len(examples)
            logger.warning("%d of %d predictions %s, the first that of %s", n, of, SUSPECTS[name], first)
    return {name: float(is_suspect.sum()) for name, is_suspect in flags.items()}
