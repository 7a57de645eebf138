"""The lettering of panels, from either of the two OCR tables that COMICS has.

Box level (`COMICS_ocr_file.csv`): one row per text box. Panel level (the original study's own OCR): one row per panel,
its boxes as JSON. Rows are named as a spreadsheet counts them: the header is row 1.
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cloze.data.images import stays_below
from cloze.data.runs import join_texts, run_starts
from cloze.errors import DataError
from cloze.tables import PANELS

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BOX_COLUMNS = ("comic_no", "page_no", "panel_no", "textbox_no", "dialog_or_narration", "text", "x1", "y1", "x2", "y2")
PANEL_COLUMNS = ("comic_no", "page_no", "panel_no", "img_path", "agg_text", "bubble_count", "bubbles_json")
KNOWN_NAMES = ("COMICS_ocr_file.csv", "ocr.csv")

_IDS = ("comic_no", "page_no", "panel_no")
_CORNERS = ("x1", "y1", "x2", "y2")
_BUBBLES = PANELS.field("bubbles").type

# A test of a column's text, and what it is for.
_WHOLE = (r"regexp_full_match({0}, '\s*\d{{1,9}}\s*')", "a whole number from 0")
_WHOLE_IF_TEXT = (f"({{0}} is null and text is null) or {_WHOLE[0]}", _WHOLE[1])  # a panel without text has no box
_NUMBER = ("{0} is null or isfinite(try_cast({0} as float))", "a number")
_BUBBLES_JSON = ("{0} is null or json_type(try_cast({0} as json), '$.bubbles') = 'ARRAY'", "JSON with a list `bubbles`")
_LEAVES_ROOT = r"regexp_matches(img_path, '^\s*(/|$)|[\\:]|(^|/)\.\.(/|$)')"


def find_ocr_table(folder: Path, where: str) -> Path:
    """The one OCR table in a folder of comics; errors call the folder `where`.

    Raises:
        DataError: none, or several that could be it.
    """
    found = [folder / name for name in KNOWN_NAMES if (folder / name).is_file()]
    if not found:
        tables = [path for path in sorted(folder.glob("*.csv")) if not path.name.startswith(".")]
        found = [path for path in tables if is_panel_level(path) or set(BOX_COLUMNS) <= set(header(path))]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(where, f"holds several OCR tables ({', '.join(p.name for p in found)})", "name one with ocr=FILE")
    raise DataError(
        where,
        f"holds no OCR table ({', '.join(KNOWN_NAMES)}, or another CSV with the columns {', '.join(PANEL_COLUMNS)})",
        "name it with ocr=FILE",
    )


def header(path: Path) -> list[str]:
    """Names of a CSV file's columns.

    Raises:
        DataError: no such file, empty, or not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return next(csv.reader(stream))
    except FileNotFoundError:
        raise DataError(path, "no such file; an OCR table was expected") from None
    except (StopIteration, UnicodeDecodeError, csv.Error):
        raise DataError(path, "no header; a CSV file in UTF-8 was expected") from None


def is_panel_level(path: Path) -> bool:
    """Whether an OCR table has one row per panel."""
    return "agg_text" in header(path)


def read_lettering(database: "DuckDBPyConnection", path: Path) -> pa.Table:
    """Panels of an OCR table of either level, sorted by book, page and panel.

    Returns:
        book, page, panel, text, bubbles (as in `panels`) and image (the path that the table gives; NULL at box level).

    Raises:
        DataError: a column is missing, a value is of the wrong kind, a row is there twice, or a path leaves its root.
    """
    import duckdb

    is_by_panel = is_panel_level(path)
    try:
        _load(database, path, PANEL_COLUMNS if is_by_panel else BOX_COLUMNS)
    except duckdb.InvalidInputException as error:
        said = " ".join(str(error).split("Possible")[0].split())
        raise DataError(path, said, "expected CSV in UTF-8 with every field in every row") from error
    return _panels(database, path) if is_by_panel else _boxes(database, path)


def _load(database: "DuckDBPyConnection", path: Path, wanted: tuple[str, ...]) -> None:
    """Make the table `ocr`: the wanted columns as text in the order of the file, NULL where empty."""
    columns = header(path)
    for name in wanted:
        if columns.count(name) != 1:
            problem = "column {} is there twice" if name in columns else "no column {}"
            raise DataError(path, f"{problem.format(name)} (found: {', '.join(columns)})", f"expected {', '.join(wanted)}")
    relation = database.read_csv(
        str(path),
        header=True,
        auto_detect=False,
        columns={f"{name}_{i}" if name not in wanted else name: "VARCHAR" for i, name in enumerate(columns)},
        delimiter=",",
        quotechar='"',
        escapechar='"',
    )
    relation.select(*wanted).create("ocr")


def _boxes(database: "DuckDBPyConnection", path: Path) -> pa.Table:
    import pyarrow.compute as pc

    checks = dict.fromkeys(_IDS, _WHOLE) | {"textbox_no": _WHOLE_IF_TEXT} | dict.fromkeys(_CORNERS, _NUMBER)
    _check_values(database, path, checks)
    _check_unique(database, path, (*_IDS, "textbox_no"))
    boxes = database.sql(_SORTED_BOXES).to_arrow_table().combine_chunks()
    ids = {name: boxes[name].to_numpy() for name in ("book", "page", "panel")}
    starts = run_starts(*ids.values())
    columns = {name: boxes[name].combine_chunks() for name in ("kind", "text", *_CORNERS)}
    is_text = pc.not_equal(columns["text"], "")
    is_box = boxes["textbox"].is_valid().combine_chunks()
    bubbles = pa.StructArray.from_arrays(list(columns.values()), fields=list(_BUBBLES.value_type)).filter(is_box)
    ends = pa.array(np.append(0, np.cumsum(_count(is_box, starts))), pa.int32())
    return pa.table(
        {name: pa.array(values[starts]) for name, values in ids.items()}
        | {
            "text": join_texts(columns["text"].filter(is_text), _count(is_text, starts)),
            "bubbles": pa.ListArray.from_arrays(ends, bubbles, type=_BUBBLES),
            "image": pa.nulls(len(starts), pa.string()),
        }
    )


def _count(is_so: pa.Array, starts: np.ndarray) -> np.ndarray:
    """How many of each run are so."""
    counts: np.ndarray = np.add.reduceat(is_so.to_numpy(zero_copy_only=False).astype(np.int64), starts) if len(starts) else starts
    return counts


def _panels(database: "DuckDBPyConnection", path: Path) -> pa.Table:
    _check_values(database, path, dict.fromkeys(_IDS, _WHOLE) | {"bubbles_json": _BUBBLES_JSON})
    _check_unique(database, path, _IDS)
    _check_paths(database, path)
    panels = database.sql(_SORTED_PANELS).to_arrow_table()
    return panels.set_column(4, "bubbles", panels["bubbles"].cast(_BUBBLES)).combine_chunks()


_SORTED_BOXES = """
    select
        comic_no::int as book, page_no::int as page, panel_no::int as panel, textbox_no::int as textbox,
        case trim(dialog_or_narration) when '1' then 'dialogue' when '2' then 'narration' else 'unknown' end as kind,
        trim(coalesce(text, ''), e' \t\r\n') as text,
        x1::float as x1, y1::float as y1, x2::float as x2, y2::float as y2
    from ocr
    order by book, page, panel, textbox
"""
_SORTED_PANELS = """
    with panels as (
        select *, from_json(bubbles_json, '{"bubbles": [{"type": "VARCHAR", "text": "VARCHAR"}]}').bubbles as boxes
        from ocr
    )
    select
        comic_no::int as book, page_no::int as page, panel_no::int as panel,
        trim(coalesce(agg_text, ''), e' \t\r\n') as text,
        list_transform(coalesce(boxes, []), lambda box: {
            kind: if(box.type in ('dialogue', 'narration', 'sound_effect', 'sign'), box.type, 'unknown'),
            text: coalesce(box.text, ''),
            x1: null::float, y1: null::float, x2: null::float, y2: null::float
        }) as bubbles,
        trim(img_path) as image
    from panels
    order by book, page, panel
"""


def _check_values(database: "DuckDBPyConnection", path: Path, checks: dict[str, tuple[str, str]]) -> None:
    tests = {name: test.format(name) for name, (test, _) in checks.items()}
    counts = ", ".join(f"count(*) filter (where ({test}) is not true)" for test in tests.values())
    bad = database.sql(f"select {counts} from ocr").fetchall()[0]
    for (name, (_, expected)), n_bad in zip(checks.items(), bad, strict=True):
        if n_bad:
            ((row, value),) = _rows(database, f"({tests[name]}) is not true", name, 1)
            more = f" and {n_bad - 1:,} more" if n_bad > 1 else ""
            raise DataError(f"{path}, row {row}{more}", f"{name} is {value or ''!r}", f"expected {expected}")


def _check_unique(database: "DuckDBPyConnection", path: Path, key: tuple[str, ...]) -> None:
    numbers = ", ".join(f"{name}::int" for name in key)  # 01 is 1
    twice = database.sql(f"select {numbers} from ocr group by all having count(*) > 1 order by all limit 1").fetchall()
    for values in twice:
        pairs = [(name, "null" if value is None else value) for name, value in zip(key, values, strict=True)]
        same = " and ".join(f"{name}::int is not distinct from {value}" for name, value in pairs)
        (first, _), (second, _) = _rows(database, same, key[0], 2)
        what = ", ".join(f"{name} {value}" for name, value in pairs)
        raise DataError(f"{path}, rows {first} and {second}", f"both are {what}", "leave one of them out")


def _check_paths(database: "DuckDBPyConnection", path: Path) -> None:
    for row, value in _rows(database, _LEAVES_ROOT, "img_path", 1):
        stays_below(value.strip(), f"{path}, row {row}, img_path")


def _rows(database: "DuckDBPyConnection", condition: str, column: str, n_rows: int) -> list[tuple[int, str]]:
    """Numbers of the first rows that meet a condition, each with its value in one column."""
    return database.sql(
        f"select rowid + 2, {column} from ocr where {condition} order by rowid limit {n_rows}"
    ).fetchall()
