"""`cloze explain`: why a step ran or was reused."""

import dataclasses
import json
import sys
from typing import Any

import click

from cloze.errors import ClozeError
from mlflow_projects.program import cache_folder, quieten_libraries
from mlflow_projects.refusals import refusals_told


def _explain(run: str, form: str) -> None:
    """Say why RUN ran, and why each step that it needed ran or was reused.

    A step runs unless a finished run has the same step key. What is shown is where the key differs from that of the
    earlier run that did the most similar work: settings, inputs, contents of files, code.
    """
    quieten_libraries()
    from mlflow_projects.reasons import explain as find_reasons

    try:
        with refusals_told():
            reasons = find_reasons(run.removeprefix("runs:/"), cache_folder())
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    if form == "json":
        click.echo(json.dumps([dataclasses.asdict(reason) for reason in reasons], indent=1))
        return
    for reason in reasons:
        click.echo(f"{reason.name} ({reason.step}) {reason.decision}  runs:/{reason.run_id}")
        if reason.compared_with:
            click.echo(f"  beside runs:/{reason.compared_with}:")
        for because in reason.because:
            click.echo(f"  - {because}")


def explain() -> click.Command:
    """The command."""
    callback: Any = _explain
    params: list[click.Parameter] = [
        click.Argument(["run"]),
        click.Option(["--format", "form"], type=click.Choice(["text", "json"]), default="text", show_default=True),
    ]
    return click.Command("explain", callback=callback, help=_explain.__doc__, params=params)
