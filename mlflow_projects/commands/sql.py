"""`cloze sql`: questions about every prediction of every run, in SQL; makes no run and changes nothing."""

import csv
import io
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloze.errors import ClozeError, SettingsError
from mlflow_projects.program import cache_folder, quieten_libraries, state_folder
from mlflow_projects.refusals import refusals_told

if TYPE_CHECKING:
    import pyarrow as pa

    from cloze.warehouse import Warehouse

_WIDEST = 60  # characters of a cell in a table for people
_FORMATS = ("table", "csv", "json", "markdown", "parquet")


def _sql(
    name: str | None,
    command: str | None,
    given: tuple[str, ...],
    is_list: bool,
    form: str,
    out: Path | None,
    runs: tuple[str, ...],
    tags: tuple[str, ...],
    paradigm: str | None,
    experiment: str,
) -> None:
    """Ask the tables of all runs: by the NAME of a question, or in SQL (DuckDB) with -c.

    Without either, opens a prompt. Exit status: 0; 2 for what cannot be asked.
    """
    quieten_libraries()
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s", stream=sys.stderr)
    from cloze.warehouse import find_query, open_warehouse, queries
    from mlflow_projects.collected import Filter, collect

    try:
        if is_list:
            click.echo(_listing(queries()), nl=False)
            return
        if name and command:
            raise SettingsError("command", command, f"left out where a question is named ({name})")
        if form == "parquet" and out is None:
            raise SettingsError("format", form, "given together with -o FILE")
        values = _pairs("param", given)
        query = find_query(name) if name else None
        if query:
            values, command = query.bind(values), query.sql
        wanted = Filter(runs, _pairs("tag", tags), paradigm or "", experiment)
        with refusals_told():
            records = collect(wanted, cache_folder())
        with open_warehouse(records, cache_folder()) as warehouse:
            if command is None:
                _prompt(warehouse, len(records))
                return
            _write(warehouse.ask(command, values), form, out)
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise SettingsError(option, word, "of the form NAME=VALUE")
        found[name] = value
    return found


def _listing(known: Mapping[str, Any]) -> str:
    """Every question with what a row of its answer is, and its parameters."""
    lines = []
    for query in known.values():
        lines.append(f"{query.name}\n    {query.row}")
        lines += [
            f"    -p {name}={default or '...'}  {meaning}" for name, (default, meaning) in query.parameters.items()
        ]
    return "\n".join(lines) + "\n"


def _write(answer: "pa.Table", form: str, out: Path | None) -> None:
    if form == "parquet":
        import pyarrow.parquet as pq

        pq.write_table(answer, out)
        return
    text = _WRITERS[form](answer)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")


def _as_table(answer: "pa.Table") -> str:
    """For people: a long text is cut, with how many rows there are below."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, expand=False)
    for column in answer.schema:
        table.add_column(
            Text(column.name), justify="right" if _is_number(column.type) else "left", no_wrap=_is_number(column.type)
        )
    for row in answer.to_pylist():
        table.add_row(*(Text(_cell(value)) for value in row.values()))
    width = None if sys.stdout.isatty() else 10_000
    console = Console(file=io.StringIO(), width=width, no_color=True)
    console.print(table)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    return "\n".join([*filter(None, lines), f"({len(answer)} row{'' if len(answer) == 1 else 's'})"]) + "\n"


def _is_number(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e6 or value == 0 else f"{value:.4g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    # What a model wrote must not steer the terminal.
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(str(value).split()))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"


def _as_csv(answer: "pa.Table") -> str:
    written = io.StringIO()
    rows = csv.writer(written, lineterminator="\n")
    rows.writerow(answer.column_names)
    rows.writerows([list(row.values()) for row in answer.to_pylist()])
    return written.getvalue()


def _as_json(answer: "pa.Table") -> str:
    return json.dumps(answer.to_pylist(), indent=1, default=str, ensure_ascii=False) + "\n"


def _as_markdown(answer: "pa.Table") -> str:
    rows = [list(map(_cell, row.values())) for row in answer.to_pylist()]
    escaped = [[cell.replace("\\", "\\\\").replace("|", "\\|") for cell in row] for row in [answer.column_names, *rows]]
    rule = ["--:" if _is_number(column.type) else "---" for column in answer.schema]
    head, *body = escaped
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, rule, *body])


_WRITERS: dict[str, Callable[["pa.Table"], str]] = {
    "table": _as_table,
    "csv": _as_csv,
    "json": _as_json,
    "markdown": _as_markdown,
}


def _prompt(warehouse: "Warehouse", n_runs: int) -> None:
    """Read statements until the end of the input; an error of one does not end the others."""
    from cloze.warehouse import QueryError, find_query, queries

    views, known = warehouse.views(), queries()
    read = _reader(views, list(known))
    click.echo(
        f"{n_runs} runs. SQL that ends with ;, or the name of a question. `views` lists views, ctrl-d leaves.", err=True
    )
    while (statement := read()) is not None:
        word = statement.strip().rstrip(";").strip()
        try:
            if word == "views":
                click.echo(
                    "".join(f"{name}\n    {row}\n    {', '.join(c)}\n" for name, (row, c) in views.items()), nl=False
                )
            elif word in known:
                click.echo(_as_table(warehouse.ask(find_query(word).sql, find_query(word).bind({}))), nl=False)
            elif word:
                click.echo(_as_table(warehouse.ask(statement)), nl=False)
        except QueryError as error:
            click.echo(f"Error: {error}", err=True)


def _reader(views: Mapping[str, tuple[str, list[str]]], questions: Sequence[str]) -> Callable[[], str | None]:
    """Gives one statement after another; completes names on a terminal."""
    if not sys.stdin.isatty():
        statements = iter(sys.stdin.read().split(";"))
        return lambda: next(statements, None)
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.lexers import PygmentsLexer
    from pygments.lexers.sql import SqlLexer

    words = sorted({*views, *questions, *(column for _, columns in views.values() for column in columns)})
    session: PromptSession[str] = PromptSession(
        completer=WordCompleter(words, ignore_case=True),
        complete_while_typing=False,
        history=FileHistory(str(state_folder() / "sql_history")),
        lexer=PygmentsLexer(SqlLexer),
    )

    def read() -> str | None:
        lines: list[str] = []
        while True:
            try:
                lines.append(session.prompt("... " if lines else "sql> "))
            except KeyboardInterrupt:
                lines = []
                continue
            except EOFError:
                return None
            if lines[-1].rstrip().endswith(";") or lines[0].strip() in {*questions, "views"}:
                return "\n".join(lines)

    return read


def sql() -> click.Command:
    """The command."""
    callback: Any = _sql
    params: list[click.Parameter] = [
        click.Argument(["name"], required=False),
        click.Option(["-c", "command"], metavar="SQL", help="One statement that reads."),
        click.Option(["-p", "--param", "given"], multiple=True, metavar="NAME=VALUE", help="A $parameter's value."),
        click.Option(["--list", "is_list"], is_flag=True, help="The named questions with their parameters."),
        click.Option(["--format", "form"], type=click.Choice(_FORMATS), default="table", show_default=True),
        click.Option(["-o", "out"], type=click.Path(path_type=Path, dir_okay=False), help="File for the answer."),
        click.Option(["--run", "runs"], multiple=True, metavar="ID", help="Only these runs; a study is all its steps."),
        click.Option(["--tag", "tags"], multiple=True, metavar="NAME=VALUE", help="Only runs that have this tag."),
        click.Option(["--paradigm"], type=click.Choice(["pred", "descp"]), default=None, help="Only runs of this one."),
        click.Option(["--experiment"], default="", help="Only runs of this experiment.  [default: all]"),
    ]
    return click.Command("sql", callback=callback, help=_sql.__doc__, params=params)
