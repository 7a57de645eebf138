"""What the tables of evaluated runs hold, as far as the report needs it."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.compute as pc

from cloze.digests import file_digest
from cloze.errors import DataError
from cloze.reporting.cells import PARADIGMS, Cell
from cloze.scoring.facts import Fact, read_facts
from cloze.scoring.fingerprints import Fingerprint, fingerprint
from cloze.tables import images_uri, read_table

_PREDICTIONS = ["sequence_id", "prediction", "finish_reason", "prompt_tokens", "output_tokens", "seconds"]


@dataclass(frozen=True)
class Evidence:
    """The tables of one cell.

    Attributes:
        predictions: rows of the predictions table by sequence_id.
        scores: scores by sequence_id (rows) and (reference, metric) (columns); NaN where unknown.
        groups: the book (or group of reprints) of each predicted sequence.
        fingerprint: what must agree with another run for the two to be compared.
    """

    cell: Cell
    predictions: pd.DataFrame
    scores: pd.DataFrame
    groups: dict[str, int]
    fingerprint: Fingerprint

    def scores_of(self, reference: str, metric: str) -> pd.Series:
        """Scores (n,) by sequence_id; empty where that was not measured."""
        if (reference, metric) not in self.scores.columns:
            return pd.Series(dtype=float)
        return self.scores[(reference, metric)]


@dataclass(frozen=True)
class Usage:
    """What predicting took: medians over sequences, None where not recorded; and how generation ended."""

    n_predictions: int
    prompt_tokens: float | None
    output_tokens: float | None
    seconds: float | None
    finish_reasons: dict[str, int]


def read_evidence(cell: Cell) -> Evidence:
    """Read the tables of a cell.

    Raises:
        DataError: a table that is not what it must be, or predictions of unknown sequences.
    """
    tables = cell.tables
    predictions = read_table(str(tables["predictions"]), "predictions", _PREDICTIONS).to_pandas()
    scores = read_table(str(tables["scores"]), "scores").to_pandas()
    sequences = read_table(str(tables["sequences"]), "sequences", ["sequence_id", "group"])
    groups = dict(zip(sequences["sequence_id"].to_pylist(), sequences["group"].to_pylist(), strict=True))
    wanted = predictions["sequence_id"].tolist()
    strangers = [key for key in wanted if key not in groups]
    if strangers:
        raise DataError(str(tables["predictions"]), f"{strangers[0]} is not a sequence of {tables['sequences']}")
    return Evidence(
        cell=cell,
        predictions=predictions.set_index("sequence_id"),
        scores=scores.pivot_table(
            index="sequence_id", columns=["reference", "metric"], values="score", dropna=False, sort=False
        ),
        groups={key: groups[key] for key in wanted},
        fingerprint=fingerprint(
            cell.fingerprint, cell.settings, cell.signatures, _reference_digests(cell, wanted), len(wanted)
        ),
    )


def usage(evidence: Evidence) -> Usage:
    """Tokens and time of the predictions of a cell."""
    rows = evidence.predictions
    medians = {name: rows[name].median() for name in ("prompt_tokens", "output_tokens", "seconds")}
    known = {name: None if np.isnan(value) else float(value) for name, value in medians.items()}
    reasons = {str(reason): int(n) for reason, n in rows["finish_reason"].value_counts().sort_index().items()}
    return Usage(len(rows), known["prompt_tokens"], known["output_tokens"], known["seconds"], reasons)


def read_sequences(path: str, wanted: Iterable[str]) -> tuple[dict[str, dict[str, Any]], str]:
    """Rows of the wanted sequences by id, and the URI of the pictures that they name."""
    table = read_table(path, "sequences")
    keys = sorted(wanted)
    rows = table.filter(pc.is_in(table["sequence_id"], value_set=_strings(keys))).to_pylist()
    return {row["sequence_id"]: row for row in rows}, images_uri(table)


def read_labels(path: str | None, wanted: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Rows of the labels table by sequence_id; nothing where there is no table."""
    if path is None:
        return {}
    table = read_table(path, "labels", ["sequence_id", "paradigm", "state", "text", "reason"])
    rows = table.filter(pc.is_in(table["sequence_id"], value_set=_strings(wanted))).to_pylist()
    return {row["sequence_id"]: row for row in rows}


def read_known_facts(path: str | None) -> dict[str, list[Fact]]:
    """The facts of each panel; nothing where there is no table."""
    return {} if path is None else read_facts(path)


def read_renders(path: str | None) -> dict[str, str]:
    """By sequence_id the name of its drawn panel below the table's folder; nothing where there is no table."""
    if path is None:
        return {}
    table = read_table(path, "renders", ["sequence_id", "image"])
    return dict(zip(table["sequence_id"].to_pylist(), table["image"].to_pylist(), strict=True))


def _reference_digests(cell: Cell, wanted: Sequence[str]) -> dict[str, str]:
    """Digests of the labels and facts that the predictions were scored against; of the labels only the wanted ones."""
    found = {}
    for paradigm in PARADIGMS:
        rows = read_labels(cell.tables.get(f"{paradigm}_labels"), wanted)
        if rows:
            texts = {key: row["text"] for key, row in rows.items() if row["state"] == "ok"}
            found[paradigm] = hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()
    facts = cell.tables.get("facts")
    return found | ({"facts": file_digest(Path(facts))} if facts else {})


def _strings(values: Sequence[str]) -> Any:
    import pyarrow as pa

    return pa.array(values, pa.string())
