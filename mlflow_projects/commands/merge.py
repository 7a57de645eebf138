"""`cloze merge`: bring what was logged in another tracking store into the current one."""

import sys

import click

from cloze.errors import ClozeError
from mlflow_projects.program import quieten_libraries
from mlflow_projects.refusals import refusals_told


def _merge(store: str, runs: tuple[str, ...]) -> None:
    """Copy runs with their parameters, curves, artifacts and models from STORE into the store in use.

    STORE is a tracking URI, such as sqlite:////scratch/cloze/spool.db, into which nodes without a route to the server
    have logged. Merging again copies only what is missing.
    """
    quieten_libraries()
    try:
        with refusals_told():
            from mlflow_projects import tracking
            from mlflow_projects.spool import Merge

            tracking.require_store(store)
            merge = Merge(store)
            merge.all([run.removeprefix("runs:/") for run in runs])
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    click.echo(f"merged into {tracking.public_tracking_uri()}:")
    for kind, n in merge.counts.items():
        click.echo(f"  {kind:<10}{n:>8,}")
    for run in merge.open:
        click.echo(f"left for later: runs:/{run.info.run_id} is {run.info.status}")


def merge() -> click.Command:
    """The command."""
    chosen = click.Option(["--run", "runs"], multiple=True, help="Only this run (runs:/ID or an id); may be repeated.")
    return click.Command("merge", callback=_merge, params=[click.Argument(["store"]), chosen], help=_merge.__doc__)
