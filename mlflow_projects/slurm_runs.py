"""Runs and their jobs: a run's status is what Slurm says of its job.

A run that a job works on carries, besides what tracking.py lists:

    slurm.job_id            the job, `12` or `12_3`
    slurm.log               the job's log, of runs that were submitted
    slurm.needs             ids of runs that must have finished before, of steps of a study
    slurm.shard_of          id of the run that joins this shard
    slurm.state, slurm.reason, slurm.exit_code, slurm.nodes, slurm.restarts      what Slurm said last
    slurm.end               how the job ended, where that was not well
    slurm.settled           no, until Slurm's own record of the job's end was seen, of runs that were submitted
    slurm.attempt.<n>       JSON of each attempt: job, restart of it, node, began, ended, exit_code and outcome

Who tells: the run itself while its program lives; then the job's own script (slurm_attempt.py); where that was killed
too, the client that waits (slurm_backend.py) or `cloze jobs`, from Slurm's records. What is said does not depend on
who says it.
"""

import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mlflow_projects import slurm, tracking

if TYPE_CHECKING:
    from mlflow.entities import Run

OPEN = ("RUNNING", "SCHEDULED")
_ATTEMPT = "slurm.attempt."
_NEVER_BEGUN = "never begun"
_OUT_OF_MEMORY = re.compile(r"^slurmstepd.*(exceeded memory limit|oom.kill)", re.IGNORECASE | re.MULTILINE)
_TAIL_LINES, _TAIL_BYTES = 30, 20_000


class Submitted(NamedTuple):
    """A run and the job that works on it."""

    name: str
    run_id: str
    job_id: str


def submitted(run: "Run") -> Submitted:
    """A run with its job."""
    tags = run.data.tags
    return Submitted(run.info.run_name or tags.get("cloze.step", ""), run.info.run_id, tags["slurm.job_id"])


def jobs_of(run: "Run") -> list[Submitted]:
    """The jobs of a run: those of runs below it, and its own as the last."""
    below = tracking.find_runs(f"tags.mlflow.parentRunId = '{run.info.run_id}' and tags.`slurm.log` != ''")
    return [*map(submitted, below), submitted(run)]


def note_submitted(run_id: str, job_id: str, log: Path) -> None:
    """A job was submitted for a run, which waits in the queue from now on."""
    store = tracking.client()
    tags = {"slurm.job_id": job_id, "slurm.log": str(log), "slurm.state": "PENDING", "slurm.settled": "no"}
    for tag, value in tags.items():
        store.set_tag(run_id, tag, value)
    store.update_run(run_id, status="SCHEDULED")


def begin_attempt(run_id: str) -> None:
    """Called in a job when its program takes up the run: who works on it, and that earlier attempts left no word."""
    run = tracking.get_run(run_id)
    this = _this_attempt(run)
    for earlier, attempt in attempts(run).items():
        if earlier < this and "outcome" not in attempt:
            word = {"outcome": "ended without a word: its node failed, or it was killed"}
            _note_attempt(run_id, earlier, {**attempt, **word})
    for tag in {"cloze.error", "cloze.end_reason", "slurm.end"} & set(run.data.tags):
        tracking.client().delete_tag(run_id, tag)
    _note_attempt(run_id, this, {**_own(), "began": datetime.now(UTC).isoformat(timespec="seconds")})


def end_attempt(run: "Run", exit_code: int, outcome: str, began: str) -> None:
    """Called at the end of a job's script: what became of this attempt, and its log."""
    run_id, own = run.info.run_id, _own()
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    times = {"began": began, "ended": ended}
    _note_attempt(run_id, _this_attempt(run), {**own, **times, "exit_code": exit_code, "outcome": outcome})
    tracking.client().set_tag(run_id, "slurm.restarts", own["restart"])
    log_of_job(run)


def attempts(run: "Run") -> dict[int, dict[str, str | int]]:
    """What is known of each attempt at a run, in their order."""
    tags = run.data.tags
    found = {int(tag.removeprefix(_ATTEMPT)): json.loads(tags[tag]) for tag in tags if tag.startswith(_ATTEMPT)}
    return dict(sorted(found.items()))


def _own() -> dict[str, str | int]:
    """What an attempt is known by, and its node, of the job that this process belongs to."""
    node = os.environ.get("SLURM_JOB_NODELIST", platform.node())
    return {"job": slurm.own_job_id(), "restart": int(os.environ.get("SLURM_RESTART_COUNT", "0")), "node": node}


def _this_attempt(run: "Run") -> int:
    """Number of the attempt that this process belongs to; a run may be gone on with by another job."""
    own, known = _own(), attempts(run)
    same = [n for n, attempt in known.items() if all(attempt[name] == own[name] for name in ("job", "restart"))]
    return same[0] if same else len(known)


def log_of_job(run: "Run") -> None:
    """Keep the log of a run's job as an artifact of the run."""
    path = Path(run.data.tags.get("slurm.log", ""))
    if path.is_file():
        tracking.client().log_artifact(run.info.run_id, str(path), "slurm")


def tail(run: "Run") -> str:
    """The last lines of the log of a run's job."""
    path = Path(run.data.tags.get("slurm.log", ""))
    if not path.is_file():
        return f"(there is no log at {path}: the job never began, or its node does not see that folder)"
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = stream.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]
    return "\n".join(lines) or "(its log is empty)"


def open_runs() -> "list[Run]":
    """Runs that say that a job waits or works for them, or whose job's end nobody has looked at, the oldest first."""
    filters = [f"attributes.status = '{status}' and tags.`slurm.job_id` != ''" for status in OPEN]
    found = {run.info.run_id: run for f in [*filters, "tags.`slurm.settled` = 'no'"] for run in tracking.find_runs(f)}
    return sorted(found.values(), key=lambda run: run.info.start_time)


def settle_all() -> "Iterator[tuple[Run, slurm.Job | None, str]]":
    """Give every open run of a job the status that Slurm's records say.

    Yields:
        The run as it was, its job, and the run's status from now on.

    Raises:
        SlurmError: Slurm cannot be asked; no run is changed then.
    """
    runs = open_runs()
    jobs = slurm.find_jobs(run.data.tags["slurm.job_id"] for run in runs)
    for run in runs:
        job = jobs[run.data.tags["slurm.job_id"]]
        yield run, job, settle(run.info.run_id, job, run.data.tags["slurm.job_id"])


def settle_all_of(jobs: Sequence[Submitted]) -> None:
    """Give the runs of some jobs the status that Slurm's records say."""
    found = slurm.find_jobs(job.job_id for job in jobs)
    for one in jobs:
        settle(one.run_id, found[one.job_id], one.job_id)


def settle(run_id: str, job: slurm.Job | None, job_id: str) -> str:
    """Give a run the status that its job has; the status it has then.

    A run that finished stays so: its results are whole, whatever happened to the job afterwards. One whose program
    ended it as failed keeps its own words.
    """
    run = tracking.get_run(run_id)
    if run.data.tags.get("slurm.job_id") != job_id:  # it was taken up again, by another job or by none
        return str(run.info.status)
    if job is not None:
        job = _with_true_reason(run, job)
        _note_state(run, job)
        if not job.has_ended:
            return _follow(run, job)
    if "slurm.settled" in run.data.tags:
        tracking.client().set_tag(run_id, "slurm.settled", "yes")
    is_open = run.info.status in OPEN
    if job is None and is_open:
        _end(run, "FAILED", f"job {job_id} is gone: neither Slurm's queue nor its accounting knows it any more")
    elif job is not None and job.state == "COMPLETED" and is_open:
        _end(run, "FAILED", f"job {job_id} completed, but no program gave this run its end")
    elif job is not None and job.state != "COMPLETED" and run.info.status != "FINISHED":
        _end(run, job.run_status, str(job))
    return str(tracking.get_run(run_id).info.status)


def end_run(run: "Run", exit_code: int) -> None:
    """Called at the end of a job's script whose program failed: the run gets an end, if it has none, and the log's."""
    job_id = run.data.tags.get("slurm.job_id", "")
    _end(run, "KILLED" if run.info.status == "KILLED" else "FAILED", f"job {job_id} ended with status {exit_code}")


def end_dependents(failed: "Run") -> None:
    """End runs of steps that wait for one that failed, and of those that wait for them; Slurm cancels their jobs."""
    reason = (
        f"{_NEVER_BEGUN}: it needs {failed.info.run_name} (runs:/{failed.info.run_id}), which is {failed.info.status}"
    )
    joins = [run for run in [_joining(failed)] if run is not None and run.info.status == "SCHEDULED"]
    wanted = f"attributes.status = 'SCHEDULED' and tags.`slurm.needs` LIKE '%{failed.info.run_id}%'"
    for run in [*joins, *tracking.find_runs(wanted)]:
        tracking.fail_run(run.info.run_id, reason)
        end_dependents(tracking.get_run(run.info.run_id))


def _joining(shard: "Run") -> "Run | None":
    run_id = shard.data.tags.get("slurm.shard_of")
    return tracking.get_run(run_id) if run_id else None


def _follow(run: "Run", job: slurm.Job) -> str:
    """A job that waits or works: so does its run. The program itself knows before Slurm that it has ended."""
    is_own = "slurm.log" in run.data.tags
    brought_back = is_own and run.info.status in ("KILLED", "FAILED") and job.run_status == "SCHEDULED"
    if run.info.status != job.run_status and (run.info.status in OPEN or brought_back):
        tracking.client().update_run(run.info.run_id, status=job.run_status)
        return job.run_status
    return str(run.info.status)


def _end(run: "Run", status: str, said: str) -> None:
    """Give a run its end. What its program said of the fault stays; what was said from outside gives way to Slurm."""
    run_id, store, tags = run.info.run_id, tracking.client(), run.data.tags
    words, outside = tags.get("cloze.error", ""), tags.get("slurm.end", "")
    if outside == "" or words.startswith(outside):
        own = "" if outside else words
        reason = f" ({tags['cloze.end_reason']})" if "cloze.end_reason" in tags else ""
        has_log = "slurm.log" in tags and not own.startswith(_NEVER_BEGUN)
        log = f"\nThe last of its log:\n{tail(run)}" if has_log else ""
        store.set_tag(run_id, "cloze.error", ((own or said + reason) + log)[:5000])
    store.set_tag(run_id, "slurm.end", said)
    log_of_job(run)
    if run.info.status != status:
        store.set_terminated(run_id, status)
    end_dependents(tracking.get_run(run_id))


def _with_true_reason(run: "Run", job: slurm.Job) -> slurm.Job:
    """Without cgroups, Slurm ends a job that takes too much memory as FAILED, and says why in its log only."""
    if job.state == "FAILED" and _OUT_OF_MEMORY.search(tail(run)):
        return replace(job, state="OUT_OF_MEMORY", reason="")
    return job


def _note_state(run: "Run", job: slurm.Job) -> None:
    """What Slurm said last, where that is news."""
    said: Mapping[str, str] = {
        "slurm.state": job.state,
        "slurm.reason": job.reason,
        "slurm.exit_code": job.exit_code,
        "slurm.nodes": job.nodes,
        "slurm.restarts": str(job.restarts),
    }
    for tag, value in said.items():
        if value and run.data.tags.get(tag) != value:
            tracking.client().set_tag(run.info.run_id, tag, value)


def _note_attempt(run_id: str, number: int, attempt: Mapping[str, str | int]) -> None:
    tracking.client().set_tag(run_id, f"{_ATTEMPT}{number}", json.dumps(dict(attempt)))
