"""`cloze lineage`: what a run was made from, and what was made of it."""

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from cloze.errors import ClozeError
from mlflow_projects.program import cache_folder, quieten_libraries
from mlflow_projects.refusals import refusals_told

if TYPE_CHECKING:
    from rich.tree import Tree

    from mlflow_projects.ancestry import Node


def _lineage(run: str, way: str, form: str) -> None:
    """Show what RUN was made from, back to the comics, and what was made of it, up to the champion.

    RUN is runs:/ID, an id, models:/NAME/VERSION or models:/NAME@ALIAS. Digests are the first digits of SHA-256.
    """
    quieten_libraries()
    from rich.console import Console

    from mlflow_projects.ancestry import Ancestry

    try:
        with refusals_told():
            ancestry = Ancestry(cache_folder())
            run_id = ancestry.run_of(run)
            found = {"made from": ancestry.up(run_id)} if way != "down" else {}
            found |= {"made of it": ancestry.down(run_id)} if way != "up" else {}
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    if form == "json":
        click.echo(json.dumps({name: dataclasses.asdict(node) for name, node in found.items()}, indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else 10_000, highlight=False)
    for name, node in found.items():
        console.print(name)
        console.print(_tree(node))


def _tree(node: "Node") -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    from mlflow_projects.ancestry import shown

    tree = Tree(Text(shown(node)))
    tree.children += [_tree(following) for following in node.next]
    return tree


def lineage() -> click.Command:
    """The command."""
    callback: Any = _lineage
    params: list[click.Parameter] = [
        click.Argument(["run"]),
        click.Option(["--up", "way"], flag_value="up", help="Only what it was made from."),
        click.Option(["--down", "way"], flag_value="down", help="Only what was made of it."),
        click.Option(["--both", "way"], flag_value="both", default="both", help="Both.  [default]"),
        click.Option(["--format", "form"], type=click.Choice(["text", "json"]), default="text", show_default=True),
    ]
    return click.Command("lineage", callback=callback, help=_lineage.__doc__, params=params)
