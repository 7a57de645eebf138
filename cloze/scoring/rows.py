"""Rows that people bring themselves: an id, a prediction and a reference in JSON lines, CSV or Parquet.

Nothing in such a file is trusted: what cannot be scored is refused by its line, and never scored as something else.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cloze.errors import DataError

FIELDS = ("sequence_id", "prediction", "reference")
CLUSTERS = ("group", "book")  # who has both: books that share reprints are one group
INDEPENDENT = "nothing: rows were taken as independent, so intervals are too narrow where they are not"

_OF_SEQUENCE_ID = re.compile(r"([^/]+)/[^/_]+_[^/_]+")  # book/page_panel
_AN_OBJECT = "one object a line was expected"

Row = Mapping[str, Any]


class Rows(NamedTuple):
    """What is to be scored; entry i of every column belongs to the same row.

    Attributes:
        ids: each once.
        predictions: texts, some perhaps empty.
        references: texts, some perhaps empty.
        clusters: (n,) what each row shares chance with.
        clustered_by: where that is known from, for people.
    """

    ids: list[str]
    predictions: list[str]
    references: list[str]
    clusters: np.ndarray
    clustered_by: str


def read_rows(path: Path) -> Rows:
    """Read and check a file of rows; its suffix says which kind it is.

    Raises:
        DataError: naming the line (of Parquet the row, from 0): not UTF-8, not JSON, a field that is missing, NULL or
            not a text, an id that is there twice; or no rows at all.
    """
    if path.suffix not in _READERS:
        raise DataError(path, f"has the suffix {path.suffix!r}", f"one of {', '.join(_READERS)} was expected")
    if not path.is_file():
        raise DataError(path, "no such file")
    rows: list[Row] = []
    places: dict[str, str] = {}
    for place, row in _READERS[path.suffix](path):
        _check(f"{path}: {place}", row)
        first = places.setdefault(row["sequence_id"], place)
        if first != place:
            raise DataError(f"{path}: {place}", f"sequence_id {row['sequence_id']} is there already in {first}")
        rows.append(row)
    if not rows:
        raise DataError(path, "holds no rows", "nothing can be scored")
    ids, predictions, references = ([row[field] for row in rows] for field in FIELDS)
    return Rows(ids, predictions, references, *_clusters(path, rows, [*places.values()]))


def _check(where: str, row: Row) -> None:
    missing = [field for field in FIELDS if field not in row]
    if missing:
        raise DataError(where, f"no {missing[0]} (found: {', '.join(map(str, row))})", f"expected {', '.join(FIELDS)}")
    for field in FIELDS:
        value = row[field]
        if value is None:
            raise DataError(where, f"{field} is NULL; an empty text was expected where there is none")
        if not isinstance(value, str):
            raise DataError(where, f"{field} is {value!r}; a text was expected")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise DataError(where, f"{field} is not Unicode text ({error.reason})") from error
    if not row["sequence_id"].strip():
        raise DataError(where, "sequence_id is empty")


def _clusters(path: Path, rows: Sequence[Row], places: Sequence[str]) -> tuple[np.ndarray, str]:
    """The cluster (n,) of each row, and where it is known from: a field, the ids, or nothing."""
    for field in CLUSTERS:
        known = [row.get(field) not in (None, "") for row in rows]
        if any(known):
            if not all(known):
                raise DataError(f"{path}: {places[known.index(False)]}", f"no {field}, which other rows have")
            return np.array([str(row[field]) for row in rows]), field
    books = [_OF_SEQUENCE_ID.fullmatch(row["sequence_id"]) for row in rows]
    if all(books):
        return np.array([book.group(1) for book in books if book]), "book of the sequence_id"
    return np.array([row["sequence_id"] for row in rows]), INDEPENDENT


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines from 1, each decoded by itself, so that a bad one can be named."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}: line {number}",
                    f"not UTF-8: byte 0x{line[error.start]:02x} at place {error.start}",
                    "save the file as UTF-8",
                ) from error


def _json_lines(path: Path) -> Iterator[tuple[str, Row]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}: line {number}", f"not JSON ({error})", "one object a line was expected"
            ) from error
        if not isinstance(row, dict):
            raise DataError(f"{path}: line {number}", "not a JSON object", "one object a line was expected")
        yield f"line {number}", row


def _csv(path: Path) -> Iterator[tuple[str, Row]]:
    reader = csv.DictReader((line for _, line in _lines(path)), strict=True)
    try:
        for row in reader:
            if None in row:
                raise DataError(f"{path}: line {reader.line_num}", "more fields than the first line names")
            yield f"line {reader.line_num}", row
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.reader.line_num}", f"not CSV ({error})") from error


def _parquet(path: Path) -> Iterator[tuple[str, Row]]:
    try:
        table = pq.ParquetFile(path)
    except pa.ArrowInvalid as error:
        raise DataError(path, f"not a Parquet file ({error})") from error
    wanted = [name for name in (*FIELDS, *CLUSTERS) if name in table.schema_arrow.names]
    rows: Iterable[Row] = (row for batch in table.iter_batches(columns=wanted) for row in batch.to_pylist())
    return ((f"row {number}", row) for number, row in enumerate(rows))


_READERS: Mapping[str, Callable[[Path], Iterator[tuple[str, Row]]]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
