"""`cloze closed-task`: which of a few candidates is right, by a scorer of one's choice; makes no run."""

import json
import logging
import sys
from pathlib import Path
from typing import Any

import click

from cloze.closed_tasks.examination import examine
from cloze.closed_tasks.settings import TASKS, ClosedTaskSettings
from cloze.errors import ClozeError
from cloze.settings import parse
from mlflow_projects.program import cache_folder, options, quieten_libraries


def _closed_task(task: str, items: Path, per_row: bool, form: str, **given: str | None) -> None:
    """Examine a closed task of the COMICS paper: `text-cloze` or `character-coherence`.

    ITEMS is a fold file as published with COMICS (CSV), or a sequences table (Parquet) to make items of. Prints the
    accuracy with its standard error and 95 % interval, clustered by book, beside chance and other predictors that read
    nothing; with --per-row, one JSON line for each item. A tie between k candidates counts 1/k where the right one is
    among them. Exit status: 0; 2 for what cannot be examined.
    """
    quieten_libraries()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("cloze").setLevel(logging.INFO)
    words = {name: word for name, word in given.items() if word is not None}
    try:
        found = examine(task, items, parse(ClosedTaskSettings, words), cache_folder())
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    if per_row:
        click.echo("".join(json.dumps(row) + "\n" for row in found.rows), nl=False)
    elif form == "json":
        click.echo(json.dumps(found.summary, indent=1))
    else:
        click.echo(_table(found.summary), nl=False)


def _table(summary: dict[str, Any]) -> str:
    """For people: a line for each figure."""
    flat: dict[str, Any] = {}
    for name, value in summary.items():
        flat |= {f"{name}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {name: value}
    width = max(map(len, flat))
    return "".join(f"{name:<{width}}  {_cell(value)}\n" for name, value in flat.items())


def _cell(value: str | float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def closed_task() -> click.Command:
    """The command; its options are the settings, and its own."""
    own: list[click.Parameter] = [
        click.Argument(["task"], type=click.Choice(TASKS)),
        click.Argument(["items"], type=click.Path(path_type=Path)),
        click.Option(["--per-row", "per_row"], is_flag=True, help="One JSON line for each item, and nothing else."),
        click.Option(["--format", "form"], type=click.Choice(["table", "json"]), default="table", show_default=True),
    ]
    callback: Any = _closed_task
    params = [*own, *options(ClosedTaskSettings)]
    return click.Command("closed-task", callback=callback, help=_closed_task.__doc__, params=params)
