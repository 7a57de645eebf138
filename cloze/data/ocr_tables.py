"""The lettering of panels, from either of the two OCR tables that COMICS has.

Box level (`COMICS_ocr_file.csv`): one row per text box. Panel level (the original study's own OCR): one row per panel,
its boxes as JSON. Rows are named as a spreadsheet counts them: the header is row 1.
"""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.data.images import stays_below
from cloze.errors import DataError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BOX_COLUMNS = ("comic_no", "page_no", "panel_no", "textbox_no", "dialog_or_narration", "text", "x1", "y1", "x2", "y2")
PANEL_COLUMNS = ("comic_no", "page_no", "panel_no", "img_path", "agg_text", "bubble_count", "bubbles_json")
KNOWN_NAMES = ("COMICS_ocr_file.csv", "ocr.csv")

_WHOLE = r"regexp_full_match({0}, '\s*\d{{1,9}}\s*')"
_NUMBER = "({0} is null or (try_cast({0} as float) is not null and isfinite(try_cast({0} as float))))"
_IDS = ("comic_no", "page_no", "panel_no")


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


def read_lettering(database: "DuckDBPyConnection", path: Path) -> None:
    """Make the table `lettering` from an OCR table of either level.

    Its columns are book, page, panel, text, bubbles (as in `panels`) and image (the path it gives; NULL at box level).

    Raises:
        DataError: a column is missing, a value is of the wrong kind, a row is there twice, or a path leaves its root.
    """
    import duckdb

    try:
        if is_panel_level(path):
            _read_panels(database, path)
        else:
            _read_boxes(database, path)
    except duckdb.InvalidInputException as error:
        said = " ".join(str(error).split("Possible")[0].split())
        raise DataError(path, said, "expected CSV in UTF-8 with every field of every row") from error


def _read_boxes(database: "DuckDBPyConnection", path: Path) -> None:
    _open_csv(database, path, BOX_COLUMNS)
    checks = {name: (_WHOLE, "a whole number from 0") for name in (*_IDS, "textbox_no")}
    checks |= {name: (_NUMBER, "a number") for name in ("x1", "y1", "x2", "y2")}
    checks["textbox_no"] = ("({0} is null and text is null or " + _WHOLE + ")", "a whole number from 0")
    _check_values(database, path, checks)
    _check_unique(database, path, (*_IDS, "textbox_no"))
    database.execute(r"""
        create table lettering as
        with boxes as (
            select
                comic_no::int as book, page_no::int as page, panel_no::int as panel, textbox_no::int as textbox,
                case trim(dialog_or_narration) when '1' then 'dialogue' when '2' then 'narration' else 'unknown' end as kind,
                trim(coalesce(text, ''), e' \t\r\n') as text,
                x1::float as x1, y1::float as y1, x2::float as x2, y2::float as y2
            from csv
        )
        select
            book, page, panel,
            coalesce(string_agg(text, ' ' order by textbox) filter (where text <> ''), '') as text,
            coalesce(
                list({kind: kind, text: text, x1: x1, y1: y1, x2: x2, y2: y2} order by textbox)
                filter (where textbox is not null), []
            ) as bubbles,
            null::varchar as image
        from boxes
        group by book, page, panel
    """)


def _read_panels(database: "DuckDBPyConnection", path: Path) -> None:
    _open_csv(database, path, PANEL_COLUMNS)
    checks = {name: (_WHOLE, "a whole number from 0") for name in _IDS}
    checks["bubbles_json"] = ("({0} is null or json_type(try_cast({0} as json), '$.bubbles') = 'ARRAY')", "JSON with a list `bubbles`")
    _check_values(database, path, checks)
    _check_unique(database, path, _IDS)
    _check_paths(database, path)
    database.execute(r"""
        create table lettering as
        with panels as (
            select *, from_json(bubbles_json, '{"bubbles": [{"type": "VARCHAR", "text": "VARCHAR"}]}').bubbles as boxes
            from csv
        )
        select
            comic_no::int as book, page_no::int as page, panel_no::int as panel,
            trim(coalesce(agg_text, ''), e' \t\r\n') as text,
            list_transform(coalesce(boxes, []), lambda box: {
                kind: case when box.type in ('dialogue', 'narration', 'sound_effect', 'sign') then box.type else 'unknown' end,
                text: coalesce(box.text, ''),
                x1: null::float, y1: null::float, x2: null::float, y2: null::float
            }) as bubbles,
            img_path as image
        from panels
    """)


def _open_csv(database: "DuckDBPyConnection", path: Path, wanted: tuple[str, ...]) -> None:
    """Make the view `csv`: every column as text, NULL where empty."""
    columns = header(path)
    for name in wanted:
        if name not in columns:
            raise DataError(path, f"no column {name} (found: {', '.join(columns)})", f"expected {', '.join(wanted)}")
    if len(set(columns)) < len(columns):
        raise DataError(path, f"a column is there twice (found: {', '.join(columns)})")
    relation = database.read_csv(
        str(path),
        header=True,
        auto_detect=False,
        columns=dict.fromkeys(columns, "VARCHAR"),
        delimiter=",",
        quotechar='"',
        escapechar='"',
    )
    relation.create_view("csv")


def _check_values(database: "DuckDBPyConnection", path: Path, checks: dict[str, tuple[str, str]]) -> None:
    tests = {name: test.format(f'"{name}"') for name, (test, _) in checks.items()}
    counts = ", ".join(f"count(*) filter (where ({test}) is not true)" for test in tests.values())
    bad = database.execute(f"select {counts} from csv").fetchone() or ()
    for (name, (_, expected)), n_bad in zip(checks.items(), bad, strict=True):
        if n_bad:
            ((row, value),) = _rows(database, f"({tests[name]}) is not true", f'"{name}"', 1)
            more = f", and {n_bad - 1:,} more" if n_bad > 1 else ""
            raise DataError(f"{path}, row {row}{more}", f"{name} is {value or ''!r}", f"expected {expected}")


def _check_unique(database: "DuckDBPyConnection", path: Path, key: tuple[str, ...]) -> None:
    numbers = [f"{name}::int" for name in key]  # 01 is 1
    twice = database.execute(
        f"select {', '.join(numbers)} from csv group by all having count(*) > 1 order by all limit 1"
    ).fetchone()
    if twice:
        pairs = list(zip(key, twice, strict=True))
        same = " and ".join(f"{name}::int is not distinct from {'null' if value is None else value}" for name, value in pairs)
        (first, _), (second, _) = _rows(database, same, key[0], 2)
        what = ", ".join(f"{name} {value}" for name, value in pairs)
        raise DataError(f"{path}, rows {first} and {second}", f"both are {what}", "leave one of them out")


def _check_paths(database: "DuckDBPyConnection", path: Path) -> None:
    leaves = r"""regexp_matches(img_path, '^/|^\s*$|[\\:]|(^|/)\.\.(/|$)')"""
    for row, value in _rows(database, leaves, "img_path", 1):
        stays_below(value.strip(), f"{path}, row {row}, img_path")


def _rows(database: "DuckDBPyConnection", condition: str, column: str, n_rows: int) -> list[tuple[int, str]]:
    """Numbers of the first rows that meet a condition, each with its value in one column."""
    database.execute("set preserve_insertion_order = true")  # for this, rows must be counted in the file's order
    return database.execute(
        f"select row, {column} from (select row_number() over () + 1 as row, * from csv) where {condition} "
        f"order by row limit {n_rows}"
    ).fetchall()
