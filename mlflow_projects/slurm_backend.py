"""MLflow's project backend `slurm`: `mlflow run . --backend slurm --backend-config slurm/<profile>.json -e <entry point>`.

Any entry point becomes a batch job through one template, `slurm/job.sbatch`. The job adopts the run that is made here;
the run is SCHEDULED while the job waits, RUNNING while it runs, and ends as the job ends (slurm_runs.py). The client
waits unless the profile says otherwise, and may be interrupted or lost: the job does not depend on it.
"""

import os
import re
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from mlflow.exceptions import ExecutionException
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import SubmittedRun

from cloze.errors import ClozeError, SettingsError
from cloze.settings import parse
from cloze.stage import REQUEUE_FILE, STOP_FILE
from mlflow_projects import slurm, slurm_runs, tracking
from mlflow_projects.program import INTERRUPTED, Program, find_program
from mlflow_projects.provenance import ROOT
from mlflow_projects.slurm_profile import Profile, parse_profile

if TYPE_CHECKING:
    from mlflow.entities import Run

TEMPLATE = ROOT / "slurm" / "job.sbatch"
_FIRST_POLL, _LONGEST_POLL = 1.0, 15.0  # seconds
_FORGIVEN = 20  # questions in a row that Slurm may leave unanswered while a client waits
_OF_A_JOB = re.compile(r"SLURM_(?!CONF$)|SLURMD_|CLOZE_(PROCESSES|SETUP|LOGS|PYTHON|SHARD_RUNS)$")


class SlurmRun(SubmittedRun):  # type: ignore[misc]  # MLflow's class is untyped
    """A run whose job was submitted."""

    def __init__(self, run_id: str, job_id: str) -> None:
        self._run_id = run_id
        self.job_id = job_id

    @property
    def run_id(self) -> str:
        """Of MLflow."""
        return self._run_id

    def wait(self) -> bool:
        """Wait for the job to end, passing on what it says; whether the run finished."""
        return follow(self._run_id, self.job_id) == "FINISHED"

    def get_status(self) -> str:
        """The run's status, which is the job's."""
        return slurm_runs.settle(self._run_id, slurm.find_job(self.job_id), self.job_id)

    def cancel(self) -> None:
        """Cancel the job and wait until it has ended."""
        slurm.cancel(self.job_id)
        self.wait()


class SlurmBackend(AbstractBackend):  # type: ignore[misc]
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
        """Submit an entry point; with a profile that waits, stay until its job has ended.

        Raises:
            ExecutionException: a parameter or the profile will not do, sbatch refuses, or the run did not finish.
        """
        from mlflow.projects.utils import get_entry_point_command, get_or_create_run, load_project

        try:
            _require_this_project(project_uri, version)
            profile = parse_profile(_given(backend_config)).of_step(entry_point)
            program = find_program(entry_point)
            parse(program.settings, params)  # what is wrong with it is said now, not after a night in the queue
        except ClozeError as error:
            raise ExecutionException(str(error)) from error
        command = shlex.split(get_entry_point_command(load_project(str(ROOT)), entry_point, params, None)[0])
        run = get_or_create_run(None, project_uri, experiment_id, str(ROOT), version, entry_point, params)
        run_id = run.info.run_id
        try:
            job_id = submit(run, program, command, profile)
        except ClozeError as error:
            tracking.fail_run(run_id, str(error))
            raise ExecutionException(f"{entry_point} was not submitted (runs:/{run_id}): {error}") from error
        click.echo(f"submitted {entry_point} as job {job_id}: runs:/{run_id}")
        submitted = SlurmRun(run_id, job_id)
        if profile.wait:
            _stay(submitted)
        return submitted


def submit(run: "Run", program: Program, command: list[str], profile: Profile, needs: Mapping[str, str] | None = None) -> str:
    """Submit a run's job; the job's id.

    Args:
        command: `python -m jobs.<entry point> --<parameter> <word> ...`; its words reach the program as they are.
        profile: of this entry point.
        needs: by id of a run that must have finished before, its job.

    Raises:
        SlurmError: sbatch refuses.
        SettingsError: the profile gives several processes to a step that cannot share its work.
    """
    logs = ROOT / profile.logs
    logs.mkdir(parents=True, exist_ok=True)  # without it a job fails without a word
    python = profile.python or sys.executable
    words = [python, *command[1:]]
    options = [*profile.options, f"--job-name=cloze-{program.name}", f"--output={logs}/%j.log", f"--chdir={ROOT}"]
    if needs:
        options += [f"--dependency=afterok:{':'.join(needs.values())}", "--kill-on-invalid-dep=yes"]
        tracking.client().set_tag(run.info.run_id, "slurm.needs", ",".join(needs))
    environment = _job_environment(run.info.run_id, profile, logs, python, profile.processes if program.shares else 1)
    if not program.shares and str(profile.sbatch.get("nodes", 1)) != "1":
        raise SettingsError("sbatch.nodes", profile.sbatch["nodes"], f"1: {program.name} does not share its work")
    job_id = slurm.submit(TEMPLATE, words, options, environment, ROOT)
    slurm_runs.note_submitted(run.info.run_id, job_id, logs / f"{job_id}.log")
    return job_id


def follow(run_id: str, job_id: str) -> str:
    """Wait for a job to end, passing on its log; the status that its run has then.

    Raises:
        SlurmError: Slurm has not answered for minutes.
    """
    log = Path(tracking.get_run(run_id).data.tags["slurm.log"])
    said, shown, pause, unanswered = "", 0, _FIRST_POLL, 0
    while True:
        try:
            job = slurm.find_job(job_id)
            unanswered = 0
        except slurm.SlurmError:
            unanswered += 1
            if unanswered == _FORGIVEN:
                raise
            time.sleep(_LONGEST_POLL)
            continue
        status = slurm_runs.settle(run_id, job, job_id)
        shown = _pass_on(log, shown)
        if job is None or job.has_ended:
            return status
        if said != job.state:
            said = job.state
            click.echo(str(job))
            pause = _FIRST_POLL
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_POLL)


def _stay(submitted: SlurmRun) -> None:
    """Wait for the job; the user may leave, and the job goes on.

    Raises:
        ExecutionException: the run did not finish.
    """
    try:
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


def _job_environment(run_id: str, profile: Profile, logs: Path, python: str, processes: int) -> dict[str, str]:
    """The client's environment, without what belongs to a job that it may itself be part of."""
    inherited = tracking.child_environment(run_id)
    kept = {k: v for k, v in inherited.items() if not _OF_A_JOB.match(k) and k not in (STOP_FILE, REQUEUE_FILE)}
    given = {"CLOZE_LOGS": str(logs), "CLOZE_PYTHON": python, "CLOZE_PROCESSES": str(processes)}
    return {**kept, **given, "CLOZE_SETUP": "\n".join(profile.setup), "PYTHONUNBUFFERED": "1"}
