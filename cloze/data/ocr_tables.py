"""The lettering of panels, from either of the two OCR tables that COMICS has.

Box level (`COMICS_ocr_file.csv`): one row per text box. Panel level (the original study's own OCR): one row per panel,
its boxes as JSON. Errors number rows as a spreadsheet does: the header is row 1.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cloze.data.images import stays_below
from cloze.data.runs import join_texts, run_lengths, run_starts
from cloze.errors import DataError
from cloze.tables import PANELS

BOX_COLUMNS = ("comic_no", "page_no", "panel_no", "textbox_no", "dialog_or_narration", "text", "x1", "y1", "x2", "y2")
PANEL_COLUMNS = ("comic_no", "page_no", "panel_no", "img_path", "agg_text", "bubble_count", "bubbles_json")
KNOWN_NAMES = ("COMICS_ocr_file.csv", "ocr.csv")
KINDS = ("dialogue", "narration", "sound_effect", "sign", "unknown")  # of a box

_IDS = ("comic_no", "page_no", "panel_no")
_CORNERS = ("x1", "y1", "x2", "y2")
_BUBBLES = PANELS.field("bubbles").type
_BLOCK_BYTES = 1 << 24  # Arrow reads so much at once; no row may be longer


def find_ocr_table(folder: Path, where: str) -> Path:
    """The one OCR table in a folder of comics; errors call the folder `where`.

    Raises:
        DataError: none, or several that could be it.
    """
    found = ocr_tables(folder)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise DataError(where, f"holds several OCR tables ({names})", "name one with ocr=FILE")
    raise DataError(
        where,
        f"holds no OCR table: no {' or '.join(KNOWN_NAMES)}, nor a CSV file with {', '.join(PANEL_COLUMNS)}",
        "name it with ocr=FILE",
    )


def ocr_tables(folder: Path) -> list[Path]:
    """All files that could be the OCR table of a folder of comics: those of a known name, else by their columns."""
    known = [folder / name for name in KNOWN_NAMES if (folder / name).is_file()]
    tables = [path for path in sorted(folder.glob("*.csv")) if not path.name.startswith(".")]
    return known or [path for path in tables if is_panel_level(path) or set(BOX_COLUMNS) <= set(header(path))]


def header(path: Path) -> list[str]:
    """Names of a CSV file's columns.

    Raises:
        DataError: no such file, empty, or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            line = stream.readline().decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(path, "no such file; an OCR table was expected") from None
    except UnicodeDecodeError:
        line = ""
    if not line.strip():
        raise DataError(path, "has no header; a CSV file in UTF-8 was expected")
    return next(csv.reader([line]))


def is_panel_level(path: Path) -> bool:
    """Whether an OCR table has one row per panel."""
    return "agg_text" in header(path)


def read_lettering(path: Path) -> pa.Table:
    """Panels of an OCR table of either level, sorted by book, page and panel.

    Returns:
        book, page, panel, text, bubbles (as in `panels`) and image (the path that the table gives; NULL at box level).

    Raises:
        DataError: a column is missing, a value is of the wrong kind, a row is there twice, or a path leaves its root.
    """
    return _panels(path) if is_panel_level(path) else _boxes(path)


def _boxes(path: Path) -> pa.Table:
    import pyarrow.compute as pc

    rows = _read(path, BOX_COLUMNS)
    has_box = pc.or_(rows["textbox_no"].is_valid(), rows["text"].is_valid())  # a panel without text has none
    keys = [*(_whole(path, rows, name) for name in _IDS), _whole(path, rows, "textbox_no", has_box)]
    kind = pc.fill_null(
        pc.index_in(_trimmed(rows["dialog_or_narration"]), pa.array(["1", "2"])), KINDS.index("unknown")
    )
    columns = {"kind": pa.array(KINDS).take(kind), "text": pc.fill_null(_trimmed(rows["text"]), "")}
    columns |= {name: _number(path, rows, name) for name in _CORNERS}
    boxes = pa.table([*keys[:3], has_box, *columns.values()], names=["book", "page", "panel", "has_box", *columns])
    boxes = _sorted(boxes, _order(path, keys, (*_IDS, "textbox_no")))
    has_box, *fields = (boxes[name].combine_chunks() for name in ("has_box", *columns))
    starts = run_starts(*(boxes[name].to_numpy() for name in ("book", "page", "panel")))
    is_text = pc.not_equal(fields[1], "")
    text = join_texts(fields[1].filter(is_text), _count(is_text, starts))
    bubbles = pa.StructArray.from_arrays(fields, fields=list(_BUBBLES.value_type))
    ends = pa.array(np.append(0, np.cumsum(_count(has_box, starts))), pa.int32())
    lists = pa.ListArray.from_arrays(ends, bubbles.filter(has_box), type=_BUBBLES)
    panels = boxes.select(["book", "page", "panel"]).take(pa.array(starts))
    return _lettering(panels, text, lists, pa.nulls(len(starts), pa.string()))


def _count(is_so: pa.Array, starts: np.ndarray) -> np.ndarray:
    """How many of each run are so."""
    so_far = np.append(0, np.cumsum(is_so.to_numpy(zero_copy_only=False)))
    counts: np.ndarray = so_far[starts + run_lengths(starts, len(is_so))] - so_far[starts]
    return counts


def _panels(path: Path) -> pa.Table:
    import pyarrow.compute as pc

    rows = _read(path, PANEL_COLUMNS)
    keys = [_whole(path, rows, name) for name in _IDS]
    image = _trimmed(rows["img_path"])
    for row in _where(pc.match_substring_regex(image, r"^/|[\\:]|(?:^|/)\.\.(?:/|$)"))[:1]:
        stays_below(image[int(row)].as_py(), f"{path}, row {row + 2}, img_path")
    bubbles = [_bubbles(path, row, text) for row, text in enumerate(rows["bubbles_json"].to_pylist())]
    panels = _lettering(
        pa.table(keys, names=["book", "page", "panel"]),
        pc.fill_null(_trimmed(rows["agg_text"]), ""),
        pa.array(bubbles, _BUBBLES),
        pc.if_else(pc.equal(image, ""), None, image),
    )
    return _sorted(panels, _order(path, keys, _IDS))


def _bubbles(path: Path, row: int, text: str | None) -> list[dict[str, Any]]:
    """Boxes of one panel from `{"bubbles": [{"type": ..., "text": ...}]}`; they have no corners there."""
    try:
        boxes = json.loads(text)["bubbles"] if text else []
        return [
            {"kind": kind if (kind := box.get("type")) in KINDS else "unknown", "text": str(box.get("text") or "")}
            for box in boxes
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        problem = f"bubbles_json is {(text or '')[:60]!r}"
        raise DataError(
            f"{path}, row {row + 2}", problem, 'expected {"bubbles": [{"type": ..., "text": ...}]}'
        ) from None


def _lettering(ids: pa.Table, text: Any, bubbles: Any, image: Any) -> pa.Table:
    return ids.append_column("text", text).append_column("bubbles", bubbles).append_column("image", image)


def _read(path: Path, wanted: tuple[str, ...]) -> pa.Table:
    """The wanted columns as text, NULL where empty."""
    from pyarrow import csv as arrow_csv

    columns = header(path)
    for name in wanted:
        if columns.count(name) != 1:
            problem = "column {} is there twice" if name in columns else "no column {}"
            raise DataError(
                path, f"{problem.format(name)} (found: {', '.join(columns)})", f"expected {', '.join(wanted)}"
            )

    def read(threads: bool) -> pa.Table:
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=threads, block_size=_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
            ),
        )

    try:
        try:
            return read(threads=True)
        except pa.ArrowInvalid:
            return read(threads=False)  # it cannot be read either, but says in which row
    except pa.ArrowInvalid as error:
        raise DataError(path, str(error), "expected CSV in UTF-8 with every field in every row") from error


def _whole(path: Path, rows: pa.Table, name: str, needed: Any = True) -> pa.ChunkedArray:
    """A column as whole numbers from 0; NULL only where it is not `needed`."""
    import pyarrow.compute as pc

    text = _trimmed(rows[name])
    is_number = pc.and_(pc.ascii_is_decimal(text), pc.less_equal(pc.binary_length(text), 9))
    is_good = pc.fill_null(is_number, False) if needed is True else pc.coalesce(is_number, pc.invert(needed))
    _all_good(path, rows[name], name, is_good, "a whole number from 0")
    return text.cast(pa.int32())


def _number(path: Path, rows: pa.Table, name: str) -> pa.ChunkedArray:
    """A column as numbers; NULL where empty."""
    import pyarrow.compute as pc

    text = _trimmed(rows[name])
    try:
        numbers = text.cast(pa.float32())
    except pa.ArrowInvalid:  # it does not say where
        is_good = pc.match_substring_regex(text, r"^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?$")
    else:
        is_good = pc.is_finite(numbers)
    _all_good(path, rows[name], name, pc.fill_null(is_good, True), "a number")
    return numbers


def _all_good(path: Path, values: pa.ChunkedArray, name: str, is_good: pa.ChunkedArray, expected: str) -> None:
    import pyarrow.compute as pc

    bad = _where(pc.invert(is_good))
    if len(bad):
        more = f" and {len(bad) - 1:,} more" if len(bad) > 1 else ""
        value = values[int(bad[0])].as_py() or ""
        raise DataError(f"{path}, row {bad[0] + 2}{more}", f"{name} is {value!r}", f"expected {expected}")


def _order(path: Path, keys: list[pa.ChunkedArray], names: Sequence[str]) -> pa.Array:
    """Rows in the order of the keys, none of which may be there twice."""
    import pyarrow.compute as pc

    columns = [pc.fill_null(key, -1).to_numpy() for key in keys]
    order = np.lexsort(columns[::-1])
    starts = run_starts(*(column[order] for column in columns))
    twice = starts[run_lengths(starts, len(order)) > 1]
    if len(twice):
        first, second = order[twice[0]], order[twice[0] + 1]
        what = ", ".join(f"{name} {key[int(first)].as_py()}" for name, key in zip(names, keys, strict=True))
        raise DataError(f"{path}, rows {first + 2} and {second + 2}", f"both are {what}", "leave one of them out")
    return pa.array(order)


def _sorted(rows: pa.Table, order: pa.Array) -> pa.Table:
    """The rows in that order; most files have it already, and taking copies all text."""
    is_sorted = bool((np.diff(order.to_numpy()) == 1).all())
    return (rows if is_sorted else rows.take(order)).combine_chunks()


def _trimmed(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    return pc.ascii_trim_whitespace(texts)


def _where(is_so: pa.ChunkedArray) -> np.ndarray:
    return np.flatnonzero(is_so.combine_chunks().to_numpy(zero_copy_only=False))
