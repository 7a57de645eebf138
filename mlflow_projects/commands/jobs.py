"""`cloze jobs`: batch jobs and the runs they work on; put right what nobody was there to record."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from cloze.errors import ClozeError, MissingInputError
from mlflow_projects.program import quieten_libraries
from mlflow_projects.refusals import refusals_told


def _list() -> None:
    """List the runs that batch jobs work on, from Slurm's own records, and end those whose job is gone."""
    with _told():
        from mlflow_projects import slurm_runs

        n_runs = 0
        for run, job, status in slurm_runs.settle_all():
            n_runs += 1
            tags = run.data.tags
            stands = str(job) if job else f"job {tags['slurm.job_id']} is gone"
            name = run.info.run_name or tags.get("cloze.step", "")
            click.echo(f"{status:<9}  {name:<28}  runs:/{run.info.run_id}  {stands}")
            if status != run.info.status:
                click.echo(f"           (it said {run.info.status}; put right)")
        if not n_runs:
            click.echo("no run waits for a job")


def _cancel(run: str) -> None:
    """Cancel the batch job of RUN (runs:/ID or an id), waiting or running; of a study, those of its steps too."""
    with _told():
        from mlflow_projects import slurm, slurm_runs, tracking
        from mlflow_projects.slurm_backend import SlurmRun

        found = tracking.get_run(run.removeprefix("runs:/"))
        job_id = found.data.tags.get("slurm.job_id")
        if not job_id:
            raise MissingInputError(f"run {found.info.run_id} is no batch job: it has no tag slurm.job_id")
        known = slurm.find_jobs(job.job_id for job in slurm_runs.jobs_of(found))
        going = [job for job in slurm_runs.jobs_of(found) if (one := known[job.job_id]) and not one.has_ended]
        if not going:
            click.echo(f"nothing to cancel: {known[job_id] or f'Slurm does not know job {job_id}'}")
            return
        SlurmRun(going).cancel()
        slurm_runs.settle(found.info.run_id, slurm.find_job(job_id), job_id)
        status = tracking.get_run(found.info.run_id).info.status
        click.echo(f"cancelled job {', '.join(job.job_id for job in going)}: runs:/{found.info.run_id} is {status}")


@contextmanager
def _told() -> Iterator[None]:
    quieten_libraries()
    try:
        with refusals_told():
            from mlflow_projects import tracking

            tracking.require_store()
            yield
    except ClozeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)


def jobs() -> click.Group:
    """The command."""

    def callback() -> None:
        if click.get_current_context().invoked_subcommand is None:
            _list()

    cancel: Any = _cancel
    group = click.Group("jobs", callback=callback, help=_list.__doc__, invoke_without_command=True)
    group.add_command(click.Command("cancel", callback=cancel, params=[click.Argument(["run"])], help=_cancel.__doc__))
    return group
