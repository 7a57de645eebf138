"""The columns of every table, and reading and writing tables whole.

Schema metadata `cloze.images` holds the URI of the image root that `image` columns are relative to; it travels from
`panels` to every table made from it. `cloze.prompt`, of predictions, holds the instructions that the model was given.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cloze.errors import DataError

IMAGES_KEY = b"cloze.images"
PROMPT_KEY = b"cloze.prompt"

_STRING = pa.string()
_BUBBLE = pa.struct(
    [("kind", _STRING), ("text", _STRING)] + [(name, pa.float32()) for name in ("x1", "y1", "x2", "y2")]
)
_PANEL_REF = pa.struct([("panel_id", _STRING), ("image", _STRING), ("text", _STRING)])

PANELS = pa.schema(
    [
        pa.field("panel_id", _STRING, nullable=False),
        pa.field("book", pa.int32(), nullable=False),
        pa.field("page", pa.int32(), nullable=False),
        pa.field("panel", pa.int32(), nullable=False),
        pa.field("image", _STRING),  # NULL: the picture is missing or unreadable
        pa.field("text", _STRING, nullable=False),
        pa.field("bubbles", pa.list_(_BUBBLE), nullable=False),
        pa.field("is_cover", pa.bool_(), nullable=False),
        pa.field("is_ad", pa.bool_(), nullable=False),
    ]
)
SEQUENCES = pa.schema(
    [
        pa.field("sequence_id", _STRING, nullable=False),
        pa.field("book", pa.int32(), nullable=False),
        pa.field("story", pa.int32(), nullable=False),
        pa.field("group", pa.int32(), nullable=False),
        pa.field("split", _STRING, nullable=False),
        pa.field("context", pa.list_(_PANEL_REF), nullable=False),
        pa.field("target", _PANEL_REF, nullable=False),
    ]
)
LABELS = pa.schema(
    [pa.field(name, _STRING, nullable=False) for name in ("sequence_id", "paradigm", "state")]
    + [pa.field(name, _STRING) for name in ("text", "reason", "labeller", "model", "prompt_digest")]
    + [pa.field(name, pa.int64()) for name in ("input_tokens", "output_tokens")]
    + [pa.field("cost_usd", pa.float64())]
)
PREDICTIONS = pa.schema(
    [
        pa.field("sequence_id", _STRING, nullable=False),
        pa.field("prediction", _STRING, nullable=False),
        pa.field("finish_reason", _STRING, nullable=False),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("output_tokens", pa.int64()),
        pa.field("seconds", pa.float64()),
    ]
)
SCORES = pa.schema(
    [pa.field(name, _STRING, nullable=False) for name in ("sequence_id", "reference", "metric")]
    + [pa.field("score", pa.float64())]  # NULL: unknown, never 0
)
# The same of each trivial predictor. `floor` is its name.
FLOORS = pa.schema([pa.field("floor", _STRING, nullable=False), *SCORES])
# What a text is like in itself. `text` is prediction, pred, descp or lettering.
MEASURES = pa.schema(
    [pa.field(name, _STRING, nullable=False) for name in ("sequence_id", "text", "measure")]
    + [pa.field("value", pa.float64())]  # NULL: unknown, never 0
)
# Paired differences between evaluated runs. `run_a` and `run_b` are run ids, several of them comma-separated.
COMPARISONS = pa.schema(
    [
        pa.field(name, _STRING, nullable=False)
        for name in ("family", "reference", "metric", "contrast", "run_a", "run_b")
    ]
    + [pa.field("difference", pa.float64(), nullable=False)]
    + [pa.field(name, pa.float64()) for name in ("low", "high", "p", "p_holm", "p_joint")]  # NULL: fewer than two books
    + [pa.field(name, pa.int64(), nullable=False) for name in ("n_sequences", "n_books")]
    + [pa.field("differs", _STRING, nullable=False)]  # fields in which the runs disagree; empty where in none
)
# What a judge thinks of predictions. `kind` is prediction or foreign (another book's, shown in its place).
JUDGEMENTS = pa.schema(
    [pa.field(name, _STRING, nullable=False) for name in ("sequence_id", "kind", "state")]
    + [pa.field("grades", pa.list_(pa.struct([("criterion", _STRING), ("grade", pa.int32())])))]  # NULL unless known
    + [pa.field(name, _STRING) for name in ("rationale", "reason", "against", "judge", "model")]
    + [pa.field(name, _STRING) for name in ("rubric_digest", "prompt_digest", "prediction_digest")]
    + [pa.field(name, pa.int64()) for name in ("input_tokens", "output_tokens")]
    + [pa.field("cost_usd", pa.float64())]
)
# Ground truth of the sample: one row per panel and fact. `seen_in` is picture, lettering or both.
FACTS = pa.schema([pa.field(name, _STRING, nullable=False) for name in ("panel_id", "fact", "value", "seen_in")])

# Drawn panels; `image` is the picture's path below the run's artifacts.
RENDERS = pa.schema(
    [pa.field(name, _STRING, nullable=False) for name in ("sequence_id", "image", "prompt")]
    + [pa.field("seed", pa.int64(), nullable=False)]
    + [pa.field("metrics", pa.list_(pa.struct([("metric", _STRING), ("score", pa.float64())])))]
)
# Decisions about the champion of a registered model. `decision` is promoted, refused or rolled back.
PROMOTIONS = pa.schema(
    [pa.field(name, _STRING, nullable=False) for name in ("model", "decision", "version")]
    + [pa.field(name, _STRING) for name in ("champion_before", "champion_after")]  # NULL: there was none
    + [pa.field(name, _STRING, nullable=False) for name in ("policy", "reason")]
    + [pa.field("decided_at", pa.timestamp("ms", tz="UTC"), nullable=False)]
)

SCHEMAS = {
    "panels": PANELS,
    "sequences": SEQUENCES,
    "labels": LABELS,
    "predictions": PREDICTIONS,
    "scores": SCORES,
    "floors": FLOORS,
    "measures": MEASURES,
    "comparisons": COMPARISONS,
    "judgements": JUDGEMENTS,
    "facts": FACTS,
    "renders": RENDERS,
    "promotions": PROMOTIONS,
}
MADE_BY = {
    "panels": "ingest",
    "sequences": "sequences",
    "labels": "label",
    "predictions": "predict",
    "scores": "eval",
    "floors": "eval",
    "measures": "eval",
    "comparisons": "report",
    "judgements": "judge",
    "facts": "ingest",
    "renders": "render",
    "promotions": "promote",
}


def table(name: str, rows: Iterable[dict[str, Any]], images: str = "") -> pa.Table:
    """A table of the named schema from rows; `images` is the URI of the image root."""
    return with_images(pa.Table.from_pylist(list(rows), schema=SCHEMAS[name]), images)


def with_images(table: pa.Table, images: str) -> pa.Table:
    """The same table, saying where its pictures lie."""
    return table.replace_schema_metadata({IMAGES_KEY: images.encode()} if images else None)


def images_uri(table: pa.Table) -> str:
    """URI of the image root that the table's `image` columns are relative to; empty where it has none."""
    return (table.schema.metadata or {}).get(IMAGES_KEY, b"").decode()


def with_prompt(table: pa.Table, prompt: str) -> pa.Table:
    """The same table, saying what instructions its texts answer."""
    return table.replace_schema_metadata((table.schema.metadata or {}) | {PROMPT_KEY: prompt.encode()})


def prompt_of(table: pa.Table) -> str:
    """Instructions that the table's texts answer, without lettering; empty where unknown."""
    return (table.schema.metadata or {}).get(PROMPT_KEY, b"").decode()


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file whole: temporary file, fsync, rename. Same table, same bytes.

    Raises:
        FileExistsError: `path` exists; results are never overwritten.
    """
    if path.exists():
        raise FileExistsError(path)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as stream:
        pq.write_table(table, stream, compression="zstd")
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(path)


def read_table(path: Path | str, name: str, columns: list[str] | None = None) -> pa.Table:
    """Read the named table (`panels`, `sequences`, ...) and check that its columns are there and of their type.

    Args:
        columns: read only these.

    Raises:
        DataError: no such file, not Parquet, a column is missing or of another type, or a text is not UTF-8.
    """
    path = Path(path)
    wanted = check_table(path, name, columns)
    read = pq.read_table(path, columns=wanted)
    try:
        read.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DataError(*_first_invalid(path, read, error), "write the text as UTF-8") from error
    return read


def check_table(path: Path, name: str, columns: list[str] | None = None) -> list[str]:
    """Check that a file is the named table, by what its footer says; the names of its columns, or of those wanted.

    Raises:
        DataError: no such file, not Parquet, or a column is missing or of another type.
    """
    remedy = f"`mlflow run . -e {MADE_BY[name]}` makes one"
    if not path.is_file():
        raise DataError(path, f"no such file; a {name} table was expected", remedy)
    try:
        found = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise DataError(path, f"not a Parquet file ({error})", remedy) from error
    wanted = [field for field in SCHEMAS[name] if columns is None or field.name in columns]
    for field in wanted:
        if field.name not in found.names:
            raise DataError(path, f"no column {field.name} (found: {', '.join(found.names)})", remedy)
        if found.field(field.name).type != field.type:
            raise DataError(path, f"column {field.name} is {found.field(field.name).type}, not {field.type}", remedy)
    return [field.name for field in wanted]


def _first_invalid(path: Path, table: pa.Table, error: pa.ArrowInvalid) -> tuple[str, str]:
    """Row and column of the first value that cannot be read, and what is wrong with it."""
    for row in range(len(table)):
        for name in table.column_names:
            try:
                table[name].slice(row, 1).combine_chunks().validate(full=True)
            except pa.ArrowInvalid as found:
                return f"{path}: row {row}", f"column {name} is not UTF-8 text ({found})"
    return str(path), f"not readable ({error})"
