"""SQL over the tables of many runs: DuckDB reads the files where they lie, and nothing can be written.

Three layers of views. `raw.NAME` is a table of all runs, each row with its `run_id`; `sql/staging/` renames and casts
these one to one; `sql/marts/` joins them into what questions are asked of. Named questions are in `sql/queries/`.
"""

import difflib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from cloze.data.database import connect
from cloze.errors import DataError, SettingsError, UserError
from cloze.tables import SCHEMAS, check_table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

log = logging.getLogger(__name__)

SQL = Path(__file__).resolve().parent.parent / "sql"
_RUN_WORDS = (
    "run_id",
    "run_name",
    "step",
    "status",
    "paradigm",
    "condition",
    "experiment",
    "parent_run_id",
    "git_commit",
    "reason",
)
_WORDS = pa.schema([(name, pa.string()) for name in ("run_id", "name", "value")])
_FIGURES = pa.schema([("run_id", pa.string()), ("name", pa.string()), ("value", pa.float64())])
_RUNS = pa.schema(
    [(name, pa.string()) for name in _RUN_WORDS]
    + [(name, pa.timestamp("ms", tz="UTC")) for name in ("started_at", "ended_at")]
)
# Nodes of DuckDB's syntax tree that only read, and table functions that open and run nothing.
_SELECTING = ("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE")
_TABLE_FUNCTIONS = ("unnest", "range", "generate_series", "json_each", "json_tree")
_PARAMETER = re.compile(r"^-- \$(?P<name>\w+) = ?(?P<default>[^:]*): (?P<help>.+)$")


class QueryError(UserError):
    """SQL that cannot be run, or that would write."""


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run.

    Attributes:
        words: by each of `run_id`, `run_name`, `step`, `status`, `paradigm`, `condition`, `experiment`,
            `parent_run_id`, `git_commit` and `reason` what the run says; left out where it says nothing.
        ended_at: None where it has not ended.
        metrics: last values.
        tables: by name of the table its file.
    """

    words: Mapping[str, str]
    started_at: datetime
    ended_at: datetime | None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tables: Mapping[str, Path] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.words["run_id"]


@dataclass(frozen=True)
class Query:
    """A named question.

    Attributes:
        row: what one row of the answer is.
        parameters: by name its default and what it means.
    """

    name: str
    row: str
    parameters: Mapping[str, tuple[str, str]]
    sql: str

    def bind(self, given: Mapping[str, str]) -> dict[str, str]:
        """Values of all parameters.

        Raises:
            SettingsError: the question has no such parameter.
        """
        for name, value in given.items():
            if name not in self.parameters:
                raise SettingsError(name, value, f"one of {', '.join(self.parameters) or 'none'} for {self.name}")
        return {name: given.get(name, default) for name, (default, _) in self.parameters.items()}


def queries() -> dict[str, Query]:
    """All named questions."""
    return {path.stem: _read_query(path) for path in sorted((SQL / "queries").glob("*.sql"))}


def find_query(name: str) -> Query:
    """The question of that name.

    Raises:
        SettingsError: there is none.
    """
    known = queries()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise SettingsError("query", name, f"one of `cloze sql --list`, such as {', '.join(near)}")
    return known[name]


def _read_query(path: Path) -> Query:
    text = path.read_text(encoding="utf-8")
    row, *more = [line for line in text.splitlines() if line.startswith("--")]
    found = [match for line in more if (match := _PARAMETER.match(line))]
    return Query(
        path.stem,
        row.removeprefix("-- ").strip(),
        {match["name"]: (match["default"].strip(), match["help"]) for match in found},
        text,
    )


class Warehouse:
    """The views over some runs, read-only."""

    def __init__(self, connection: "DuckDBPyConnection") -> None:
        self._connection = connection

    def ask(self, sql: str, values: Mapping[str, str] | None = None) -> pa.Table:
        """The answer to one statement that reads.

        Args:
            values: of its `$parameters`, as text: `$limit::bigint` makes a number of one.

        Raises:
            QueryError: it is not one statement, it would write, it is not SQL, or a parameter is missing or unknown.
        """
        import duckdb

        try:
            statements = duckdb.extract_statements(sql)
            if len(statements) != 1:
                raise QueryError(f"{len(statements)} statements; one was expected")
            (statement,) = statements
            self._check_reads(statement)
            _check_parameters(set(statement.named_parameters), set(values or {}))
            return self._connection.sql(sql, params=dict(values or {}) or None).to_arrow_table()
        except duckdb.Error as error:
            raise QueryError(str(error)) from error

    def _check_reads(self, statement: "Statement") -> None:
        """Refuse all but what is known to read: DuckDB calls `with x as (copy ...) select 1` a SELECT too, runs what is
        given to `query('...')` as text, and may write to the very files that it may read."""
        import duckdb

        refused = [statement.type.name.lower()] if statement.type != duckdb.StatementType.SELECT else []
        if not refused:
            ((tree,),) = self._connection.execute("select json_serialize_sql($1)", [statement.query]).fetchall()
            refused = sorted(_foreign(json.loads(tree)))
        if refused:
            raise QueryError(f"{refused[0]} is not allowed: only statements that read are")

    def views(self) -> dict[str, tuple[str, list[str]]]:
        """By name of each view what one row of it is, and its columns."""
        rows = self._connection.execute(
            "select table_name, list(column_name order by ordinal_position) from information_schema.columns "
            "where table_schema = 'main' group by table_name order by table_name"
        ).fetchall()
        about = {path.stem: path.read_text(encoding="utf-8").partition("\n")[0] for path in _view_files()}
        return {name: (about[name].removeprefix("-- "), columns) for name, columns in rows}


@contextmanager
def open_warehouse(runs: Sequence[RunRecord], spill: Path) -> Iterator[Warehouse]:
    """The views over these runs. A table that cannot be read is named in a warning and left out.

    Args:
        spill: folder for what does not fit 2 GiB of memory.
    """
    connection = connect(spill)
    try:
        connection.execute("create schema raw")
        _add_words(connection, runs)
        files = _add_tables(connection, runs)
        for path in _view_files():
            connection.execute(f"create view {path.stem} as {path.read_text(encoding='utf-8')}")
        _lock(connection, files)
        yield Warehouse(connection)
    finally:
        connection.close()


def _add_words(connection: "DuckDBPyConnection", runs: Sequence[RunRecord]) -> None:
    """`raw.runs`, `raw.params`, `raw.tags` and `raw.metrics`."""
    rows = [
        {name: run.words.get(name, "") for name in _RUN_WORDS}
        | {"started_at": run.started_at, "ended_at": run.ended_at}
        for run in runs
    ]
    _create(connection, "runs", pa.Table.from_pylist(rows, schema=_RUNS))
    for name, schema in (("params", _WORDS), ("tags", _WORDS), ("metrics", _FIGURES)):
        pairs = [
            {"run_id": run.run_id, "name": key, "value": value}
            for run in runs
            for key, value in getattr(run, name).items()
        ]
        _create(connection, name, pa.Table.from_pylist(pairs, schema=schema))


def _add_tables(connection: "DuckDBPyConnection", runs: Sequence[RunRecord]) -> list[str]:
    """`raw.NAME` of every table that runs leave; the files that are read."""
    read: list[str] = []
    for name, schema in SCHEMAS.items():
        files = {str(run.tables[name]): run.run_id for run in runs if name in run.tables and _is_sound(run, name)}
        columns = ", ".join(f'"{column}"' for column in schema.names)
        if not files:
            _create(connection, name, schema.insert(0, pa.field("run_id", pa.string())).empty_table())
            continue
        owners = pa.table({"filename": list(files), "run_id": list(files.values())})
        _create(connection, f"{name}_files", owners)
        listed = ", ".join(_quoted(path) for path in files)
        connection.execute(
            f"create view raw.{name} as select run_id, {columns} "  # noqa: S608 - names are ours, paths quoted
            f"from read_parquet([{listed}], filename = true) join raw.{name}_files using (filename)"
        )
        read += files
    return read


def _is_sound(run: RunRecord, name: str) -> bool:
    try:
        check_table(run.tables[name], name)
    except DataError as error:
        log.warning("run %s (%s): %s", run.run_id, run.words.get("run_name", ""), error)
        return False
    return True


def _create(connection: "DuckDBPyConnection", name: str, table: pa.Table) -> None:
    connection.register("incoming", table)
    connection.execute(f"create table raw.{name} as from incoming")
    connection.unregister("incoming")


def _lock(connection: "DuckDBPyConnection", files: Sequence[str]) -> None:
    """From here on only these files are read, whatever the SQL says, and no setting changes that."""
    connection.execute(f"set allowed_paths = [{', '.join(map(_quoted, files))}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set python_enable_replacements = false")
    connection.execute("set lock_configuration = true")


def _view_files() -> list[Path]:
    """Staging first, then marts in an order in which each knows those that it reads."""
    marts = ("evaluations", "predicted", "scored", "cells", "texts", "story_positions", "champions")
    return [*sorted((SQL / "staging").glob("*.sql")), *(SQL / "marts" / f"{name}.sql" for name in marts)]


def _foreign(tree: object) -> Iterator[str]:
    """What in a parsed statement neither selects nor is a table function that makes rows of its arguments alone."""
    if isinstance(tree, dict):
        kind = str(tree.get("type", ""))
        if kind.endswith("_NODE") and kind not in _SELECTING:
            yield kind.removesuffix("_QUERY_NODE").lower()
        if kind == "TABLE_FUNCTION" and (name := tree["function"]["function_name"]) not in _TABLE_FUNCTIONS:
            yield f"{name}()"
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for part in parts:
        yield from _foreign(part)


def _check_parameters(wanted: set[str], given: set[str]) -> None:
    for name in sorted(wanted - given):
        raise QueryError(f"the parameter ${name} has no value: give it with -p {name}=VALUE")
    for name in sorted(given - wanted):
        raise QueryError(f"there is no parameter ${name} in the statement")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
