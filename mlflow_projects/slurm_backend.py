"""MLflow's project backend `slurm`: `mlflow run . --backend slurm --backend-config slurm/PROFILE.json -e ENTRY_POINT`.

Any entry point becomes a batch job through one template, `slurm/job.sbatch`, and a study becomes a graph of jobs
(slurm_studies.py). A job adopts the run that is made here; the run is SCHEDULED while the job waits, RUNNING while it
runs, and ends as the job ends (slurm_runs.py). The client waits unless the profile says otherwise, and may be
interrupted or lost: no job depends on it.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from mlflow.exceptions import ExecutionException
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import SubmittedRun

from cloze.errors import ClozeError, SettingsError
from cloze.settings import Settings, parse
from mlflow_projects import slurm, slurm_runs, tracking
from mlflow_projects.program import INTERRUPTED, Program, cache_folder, find_program, state_folder
from mlflow_projects.provenance import ROOT
from mlflow_projects.slurm_profile import Profile, parse_profile
from mlflow_projects.slurm_runs import Submitted
from mlflow_projects.slurm_studies import find_done, submit_study
from mlflow_projects.slurm_submission import submit_step
from mlflow_projects.steps import Steps
from mlflow_projects.studies import StudySettings

_FIRST_POLL, _LONGEST_POLL = 1.0, 10.0  # seconds
_FORGIVEN = 30  # questions in a row that Slurm may leave unanswered while a client waits


class SlurmRun(SubmittedRun):
    """A run whose job was submitted, and the jobs that it needs.

    Args:
        jobs: the run's own is the last.
    """

    def __init__(self, jobs: Sequence[Submitted]) -> None:
        self.jobs = jobs

    @property
    def run_id(self) -> str:
        """Of MLflow."""
        return self.jobs[-1].run_id

    @property
    def job_id(self) -> str:
        """Of Slurm."""
        return self.jobs[-1].job_id

    def wait(self) -> bool:
        """Wait for the jobs to end, passing on what the run's own says; whether the run finished."""
        return follow(self.jobs) == "FINISHED"

    def get_status(self) -> str:
        """The run's status, which is the job's."""
        return slurm_runs.settle(self.run_id, slurm.find_job(self.job_id), self.job_id)

    def cancel(self) -> None:
        """Cancel the jobs and wait until they have ended."""
        slurm.cancel([job.job_id for job in reversed(self.jobs)])
        self.wait()


class SlurmBackend(AbstractBackend):
    """Submits entry points of this project as batch jobs."""

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: Mapping[str, str],
        version: str | None,
        backend_config: Mapping[str, Any],
        tracking_uri: str,
        experiment_id: str,
    ) -> SlurmRun:
        """Submit an entry point; with a profile that waits, stay until its jobs have ended.

        Raises:
            ExecutionException: a parameter or the profile will not do, sbatch refuses, or the run did not finish.
        """
        from mlflow.projects.utils import get_or_create_run

        try:
            _require_this_project(project_uri, version)
            profile = parse_profile(_given(backend_config))
            program = find_program(entry_point)
            settings = parse(program.settings, params)  # what is wrong is said now, not after a night in the queue
        except ClozeError as error:
            raise ExecutionException(str(error)) from error
        run = get_or_create_run(  # type: ignore[no-untyped-call]
            None, project_uri, experiment_id, str(ROOT), version, entry_point, params
        )
        run_id = run.info.run_id
        try:
            submitted = SlurmRun(_submit(run_id, program, settings, profile))
        except ClozeError as error:
            tracking.fail_run(run_id, str(error))
            raise ExecutionException(f"{entry_point} was not submitted (runs:/{run_id}): {error}") from error
        said = f"submitted {entry_point} as job {submitted.job_id}: runs:/{run_id}"
        if profile.wait:
            _stay(submitted, said)
        else:
            click.echo(said)
        return submitted


def _submit(run_id: str, program: Program, settings: Settings, profile: Profile) -> list[Submitted]:
    if isinstance(settings, StudySettings):
        return submit_study(run_id, settings, profile)
    resolved = None
    if profile.of_step(program.name).shards > 1:
        steps = Steps(run_id, cache_folder(), state_folder(), makes=False)
        resolved, _ = find_done(steps, program.name, settings)
    return submit_step(run_id, program, settings, profile, resolved=resolved)


def follow(jobs: Sequence[Submitted]) -> str:
    """Wait for jobs to end, passing on the log of the last; the status that its run has then.

    Raises:
        SlurmError: Slurm has not answered for minutes.
    """
    log = Path(tracking.get_run(jobs[-1].run_id).data.tags["slurm.log"])
    said, shown, pause, unanswered = {job.job_id: "" for job in jobs}, 0, _FIRST_POLL, 0
    left = list(jobs)
    while left:
        try:
            found = slurm.find_jobs(job.job_id for job in left)
            unanswered = 0
        except slurm.SlurmError:
            unanswered += 1
            if unanswered == _FORGIVEN:
                raise
            time.sleep(_LONGEST_POLL)
            continue
        pause = min(pause * 1.3, _LONGEST_POLL)
        for one in left:
            job = found[one.job_id]
            slurm_runs.settle(one.run_id, job, one.job_id)
            state = f"{one.name}: {job or f'job {one.job_id} is gone'}"
            if said[one.job_id] != state:
                said[one.job_id], pause = state, _FIRST_POLL
                click.echo(state)
        shown = _pass_on(log, shown)
        left = [one for one in left if (job := found[one.job_id]) is not None and not job.has_ended]
        if left:
            time.sleep(pause)
    return str(tracking.get_run(jobs[-1].run_id).info.status)


def _stay(submitted: SlurmRun, said: str) -> None:
    """Say so and wait for the job; the user may leave, and the job goes on.

    Raises:
        ExecutionException: the run did not finish.
    """
    try:
        click.echo(said)
        finished = submitted.wait()
    except KeyboardInterrupt:
        click.echo(
            f"\njob {submitted.job_id} goes on without you. Its log: {_log(submitted.run_id)}\n"
            f"`cloze jobs` shows how it stands; `cloze jobs cancel {submitted.run_id}` ends it",
            err=True,
        )
        raise SystemExit(INTERRUPTED) from None
    except slurm.SlurmError as error:
        raise ExecutionException(f"job {submitted.job_id} may go on, but {error}; `cloze jobs` looks again") from error
    if not finished:
        run = tracking.get_run(submitted.run_id)
        reason = run.data.tags.get("cloze.error") or run.data.tags.get("cloze.end_reason", "no reason recorded")
        raise ExecutionException(f"runs:/{submitted.run_id} is {run.info.status}: {reason}")


def _log(run_id: str) -> str:
    return str(tracking.get_run(run_id).data.tags["slurm.log"])


def _pass_on(log: Path, shown: int) -> int:
    """Show what is new in a log; how many bytes of it were shown by now."""
    if not log.is_file():
        return shown
    with log.open("rb") as stream:
        stream.seek(shown)
        new = stream.read()
    sys.stdout.buffer.write(new)
    sys.stdout.flush()
    return shown + len(new)


def _given(backend_config: Mapping[str, Any]) -> dict[str, Any]:
    """The profile without what MLflow lays beside it."""
    from mlflow.projects import utils

    beside = {value for name, value in vars(utils).items() if name.startswith("PROJECT_")}
    return {name: value for name, value in backend_config.items() if name not in beside}


def _require_this_project(uri: str, version: str | None) -> None:
    """A job works in the folder from which it was submitted, on code that nobody swaps under it."""
    if version is not None or Path(uri.removeprefix("file://")).resolve() != ROOT:
        raise SettingsError("project", uri, f"the folder of this project, {ROOT}: every node must see it")
