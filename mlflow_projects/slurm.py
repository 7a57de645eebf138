"""Slurm as its commands show it: submit a job, ask what became of it, cancel it."""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloze.errors import ClozeError

# https://slurm.schedmd.com/squeue.html#lang-job-state-codes
_WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
_WORKING = frozenset({"RUNNING", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED"})
_ASKED_FOR = frozenset({"CANCELLED", "PREEMPTED", "REVOKED"})

_NEVER = "DependencyNeverSatisfied"
_REMEDIES = {
    "TIMEOUT": "it had not saved and left by its time limit; give it more `time` or an earlier `signal`",
    "OUT_OF_MEMORY": "it needed more memory than it had asked for; give it more `mem`",
    "NODE_FAIL": "a node failed under it",
    "BOOT_FAIL": "its node did not start",
    "DEADLINE": "its deadline passed",
    "PREEMPTED": "another job took its place",
    "JobLaunchFailure": "its node could not start it; can the node see the project and write its log?",
    _NEVER: "a job that it needs did not finish",
}
_NO_SUCH_JOB = re.compile(r"Invalid job id|Job \S+ not found")
_NO_ACCOUNTING = "accounting storage is disabled"
_PATIENCE = 60  # seconds for one command of Slurm
_AT_ONCE = 200  # jobs that one squeue is asked about


class SlurmError(ClozeError):
    """Slurm refused, or cannot be asked."""


@dataclass(frozen=True)
class Job:
    """What Slurm says of a job.

    Attributes:
        job_id: `12`, or `12_3` for a task of an array.
        state: the first word of its state, such as PENDING or OUT_OF_MEMORY.
        reason: why it waits, or ended as it did; empty where Slurm says nothing.
        exit_code: `status:signal`.
        nodes, began, ended: as Slurm writes them, times in the cluster's own time zone; empty where it says nothing.
        restarts: how often it was queued again.
    """

    job_id: str
    state: str
    reason: str = ""
    exit_code: str = ""
    nodes: str = ""
    began: str = ""
    ended: str = ""
    restarts: int = 0

    @property
    def run_status(self) -> str:
        """The MLflow status that a run of this job must have."""
        if self.state in _WAITING:
            return "SCHEDULED"
        if self.state in _WORKING:
            return "RUNNING"
        if self.state == "COMPLETED":
            return "FINISHED"
        return "KILLED" if self.state in _ASKED_FOR and self.reason != _NEVER else "FAILED"

    @property
    def has_ended(self) -> bool:
        """Whether it will never run again by itself."""
        return self.run_status not in ("SCHEDULED", "RUNNING")

    def __str__(self) -> str:
        """How it stands, for people: `job 12 ended as TIMEOUT on node1: it reached ...`."""
        verb = "ended as" if self.has_ended else "is"
        where = f" on {self.nodes}" if self.nodes else ""
        why = _REMEDIES.get(self.reason) or _REMEDIES.get(self.state) or self.reason
        if self.state == "FAILED" and self.exit_code not in ("", "0:0"):
            why = f"{why}, " * bool(why) + f"exit code {self.exit_code}"
        return f"job {self.job_id} {verb} {self.state}{where}" + (f": {why}" if why else "")


def submit(
    script: Path, command: Sequence[str], options: Sequence[str], environment: Mapping[str, str], cwd: Path
) -> str:
    """Submit a batch script with the words of a command as its arguments; the job's id.

    The words reach the script as they are: no shell reads them.

    Raises:
        SlurmError: sbatch refuses.
    """
    return (
        _ask("sbatch", "--parsable", *options, str(script), *command, environment=environment, cwd=cwd)
        .split(";")[0]
        .strip()
    )


def find_jobs(job_ids: Iterable[str]) -> dict[str, Job | None]:
    """What Slurm knows of jobs: its queue is asked first, then its memory, then its accounting.

    Returns:
        By id the job; None where nothing remembers it.

    Raises:
        SlurmError: Slurm cannot be asked. Then nothing is known, and nothing may be concluded.
    """
    wanted = sorted(set(job_ids))
    queued = _queued(wanted)
    return {job_id: queued.get(job_id) or _remembered(job_id) or _accounted(job_id) for job_id in wanted}


def find_job(job_id: str) -> Job | None:
    """What Slurm knows of one job.

    Raises:
        SlurmError: Slurm cannot be asked.
    """
    return _remembered(job_id) or _accounted(job_id)


def cancel(job_ids: Iterable[str]) -> None:
    """Cancel jobs, whether they wait or run; those that ended meanwhile are left as they are.

    Raises:
        SlurmError: scancel refuses.
    """
    _ask("scancel", *job_ids)


def own_job_id() -> str:
    """The job that this process is part of; empty outside of Slurm."""
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return os.environ.get("SLURM_JOB_ID", "")


def _queued(job_ids: Sequence[str]) -> dict[str, Job]:
    """Jobs that wait or run. One question about many is easier on the controller than many about one."""
    found = {}
    for start in range(0, len(job_ids), _AT_ONCE):
        some = job_ids[start : start + _AT_ONCE]
        try:
            lines = _ask(
                "squeue", "--noheader", "--array", f"--jobs={','.join(some)}", "--format=%i|%T|%N|%S|%r"
            ).splitlines()
        except SlurmError as error:
            if not _NO_SUCH_JOB.search(str(error)):
                raise
            continue
        for line in lines:
            job_id, state, nodes, began, reason = line.split("|", 4)
            found[job_id] = Job(job_id, state, _said(reason), "", nodes, _said(began))
    return {job_id: job for job_id, job in found.items() if not job.has_ended}


def _remembered(job_id: str) -> Job | None:
    """From the controller, which keeps ended jobs for a while (MinJobAge)."""
    records = _records(job_id)
    if records:
        return _job(job_id, records[0])
    array, _, task = job_id.partition("_")
    together = _records(array) if task else []
    for record in together:  # tasks that never began have one record together
        if int(task) in _tasks(_field(record, "ArrayTaskId")):
            return _job(job_id, record)
    # A task that is cancelled before it began leaves nothing behind.
    return Job(job_id, "CANCELLED") if together else None


def _records(job_id: str) -> list[str]:
    try:
        return _ask("scontrol", "--oneliner", "show", "job", job_id).splitlines()
    except SlurmError as error:
        if _NO_SUCH_JOB.search(str(error)):
            return []
        raise


def _job(job_id: str, record: str) -> Job:
    names = ("JobState", "Reason", "ExitCode", "NodeList", "StartTime", "EndTime")
    state, reason, exit_code, nodes, began, ended = (_field(record, name) for name in names)
    return Job(job_id, state, reason, exit_code, nodes, began, ended, int(_field(record, "Restarts") or 0))


def _field(record: str, name: str) -> str:
    match = re.search(rf" {name}=(\S*)", record)
    return _said(match[1]) if match else ""


def _tasks(listed: str) -> set[int]:
    """Numbers of the tasks in `0,2-4%50`."""
    spans = [part.partition("-") for part in listed.partition("%")[0].split(",") if part]
    return {task for first, _, last in spans for task in range(int(first), int(last or first) + 1)}


def _accounted(job_id: str) -> Job | None:
    """From accounting, where the cluster keeps any."""
    columns = "State,Reason,ExitCode,NodeList,Start,End"
    try:
        lines = _ask("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={job_id}", f"--format={columns}")
    except SlurmError as error:
        if _NO_ACCOUNTING in str(error):
            return None
        raise
    if not lines.strip():
        return None
    state, *rest = lines.splitlines()[-1].split("|")
    reason, exit_code, nodes, began, ended = map(_said, rest)
    return Job(job_id, state.split()[0], reason, exit_code, nodes, began, ended)


def _said(value: str) -> str:
    """What Slurm says, and nothing where it says that it says nothing."""
    return "" if value in ("None", "(null)", "N/A", "Unknown", "None assigned") else value


def _ask(*command: str, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            env=environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE,
        )
    except FileNotFoundError as error:
        raise SlurmError(
            f"{command[0]} is not on this machine: run this where Slurm's commands are (a login node)"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise SlurmError(f"{command[0]} does not answer within {_PATIENCE} s") from error
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())
        raise SlurmError(f"{command[0]} says: {said or f'nothing, with status {done.returncode}'}")
    return done.stdout
