"""Submit a step as a batch job: the words of its program, its options of sbatch, and the environment of its node."""

import dataclasses
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.errors import ClozeError, SettingsError
from cloze.settings import Settings, words
from cloze.shards import WHOLE
from cloze.stage import REQUEUE_FILE, STOP_FILE
from mlflow_projects import slurm, slurm_runs, tracking
from mlflow_projects.joined import finished_shard
from mlflow_projects.program import Program
from mlflow_projects.provenance import ROOT
from mlflow_projects.slurm_runs import Submitted

if TYPE_CHECKING:
    from mlflow_projects.slurm_profile import Profile
    from mlflow_projects.steps import Resolved

TEMPLATE = ROOT / "slurm" / "job.sbatch"
JOIN = "join"  # names, in the `steps` of a profile, what joining shards needs
_OF_A_JOB = re.compile(r"SLURM_(?!CONF$)|SLURMD_|CLOZE_(PROCESSES|SETUP|LOGS|PYTHON|SHARD|SHARD_RUNS)$")


def submit_step(
    run_id: str,
    program: Program,
    settings: Settings,
    profile: "Profile",
    needs: Sequence[Submitted] = (),
    resolved: "Resolved | None" = None,
) -> list[Submitted]:
    """Submit a step, as one job or, where the profile says so, as an array of shards and a job that joins them.

    Args:
        profile: of the whole study.
        needs: jobs that must have finished before.
        resolved: the step with its inputs found, where they exist; shards that have finished are then left out.

    Returns:
        The jobs; the last one works on the run.

    Raises:
        SlurmError: sbatch refuses.
        SettingsError: the profile gives several nodes to a step that cannot share its work.
    """
    own = profile.of_step(program.name)
    if own.shards == 1 or not program.shard or getattr(settings, program.shard) != WHOLE:
        return [submit(run_id, program, settings, own, needs)]
    tasks = _submit_shards(run_id, program, settings, own, needs, resolved)
    whole: Settings = dataclasses.replace(settings, **{program.shard: f"all/{own.shards}"})
    try:
        return [*tasks, submit(run_id, program, whole, profile.of_step(JOIN), tasks or needs)]
    except ClozeError:
        slurm.cancel(task.job_id for task in tasks)
        raise


def submit(
    run_id: str, program: Program, settings: Settings, profile: "Profile", needs: Sequence[Submitted] = ()
) -> Submitted:
    """Submit a job that works on a run, once what it needs has finished.

    Args:
        profile: of this entry point.

    Raises:
        SlurmError: sbatch refuses.
        SettingsError: the profile gives several nodes to a step that cannot share its work.
    """
    if not program.shares and str(profile.sbatch.get("nodes", 1)) != "1":
        raise SettingsError("sbatch.nodes", profile.sbatch["nodes"], f"1: {program.name} does not share its work")
    log = f"{_logs(profile)}/{run_id}-%j.log"
    environment = _environment(run_id, profile, profile.processes if program.shares else 1)
    options = [f"--output={log}", *_after(needs)]
    job_id = slurm.submit(
        TEMPLATE, _command(program, settings, profile), _options(program, profile, options), environment, ROOT
    )
    if names := [one.run_id for one in needs if "_" not in one.job_id]:  # a shard itself says what it is one of
        tracking.client().set_tag(run_id, "slurm.needs", ",".join(names))
    slurm_runs.note_submitted(run_id, job_id, Path(log.replace("%j", job_id)))
    return slurm_runs.submitted(tracking.get_run(run_id))


def _submit_shards(
    run_id: str,
    program: Program,
    settings: Settings,
    profile: "Profile",
    needs: Sequence[Submitted],
    resolved: "Resolved | None",
) -> list[Submitted]:
    """Submit an array with a task for each shard that has not finished."""
    shards = [f"{part}/{profile.shards}" for part in range(profile.shards)]
    missing = [shard for shard in shards if resolved is None or finished_shard(program, resolved, shard) is None]
    if not missing:
        return []
    of = tracking.get_run(run_id).info.run_name
    runs = {shard: tracking.create_child(program.name, f"{of} {shard}", run_id) for shard in missing}
    places = [str(shards.index(shard)) for shard in missing]
    log = f"{_logs(profile)}/{run_id}-%A_%a.log"
    environment = {
        **_environment(run_id, profile, 1),
        "CLOZE_SHARD": program.shard,
        "CLOZE_SHARD_RUNS": ":".join(runs.get(shard, "-") for shard in shards),
    }
    options = _options(program, profile, [f"--output={log}", f"--array={','.join(places)}", *_after(needs)])
    try:
        array = slurm.submit(TEMPLATE, _command(program, settings, profile, program.shard), options, environment, ROOT)
    except slurm.SlurmError as error:
        for one in runs.values():
            tracking.fail_run(one, str(error))
        raise
    for place, one in zip(places, runs.values(), strict=True):
        tracking.client().set_tag(one, "slurm.shard_of", run_id)
        path = log.replace("%A", array).replace("%a", place)
        slurm_runs.note_submitted(one, f"{array}_{place}", Path(path))
    return [slurm_runs.submitted(tracking.get_run(one)) for one in runs.values()]


def _command(program: Program, settings: Settings, profile: "Profile", without: str = "") -> list[str]:
    named = [(option, word) for option, word in words(settings).items() if option != without]
    return [_python(profile), "-m", f"jobs.{program.name}", *(part for o, word in named for part in (f"--{o}", word))]


def _options(program: Program, profile: "Profile", more: Sequence[str]) -> list[str]:
    return [*profile.options, f"--job-name=cloze-{program.name}", f"--chdir={ROOT}", *more]


def _after(needs: Sequence[Submitted]) -> list[str]:
    """Options that make a job wait for others to finish, and end where one of them does not."""
    if not needs:
        return []
    job_ids = sorted({one.job_id.partition("_")[0] for one in needs})  # of an array, all tasks
    return [f"--dependency=afterok:{':'.join(job_ids)}", "--kill-on-invalid-dep=yes"]


def _logs(profile: "Profile") -> Path:
    logs = ROOT / profile.logs
    logs.mkdir(parents=True, exist_ok=True)  # without it a job fails without a word
    return logs


def _python(profile: "Profile") -> str:
    return profile.python or sys.executable


def _environment(run_id: str, profile: "Profile", processes: int) -> dict[str, str]:
    """The client's environment, without what belongs to a job that it may itself be part of."""
    inherited = tracking.child_environment(run_id)
    kept = {k: v for k, v in inherited.items() if not _OF_A_JOB.match(k) and k not in (STOP_FILE, REQUEUE_FILE)}
    given = {
        "CLOZE_LOGS": str(_logs(profile)),
        "CLOZE_PYTHON": _python(profile),
        "CLOZE_PROCESSES": str(processes),
    }
    return {**kept, **given, "CLOZE_SETUP": "\n".join(profile.setup), "PYTHONUNBUFFERED": "1"}
