"""Submit a step as a batch job: the words of its program, its options of sbatch, and the environment of its node."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from cloze.errors import SettingsError
from cloze.settings import Settings, words
from cloze.stage import REQUEUE_FILE, STOP_FILE
from mlflow_projects import slurm, slurm_runs, tracking
from mlflow_projects.program import Program
from mlflow_projects.provenance import ROOT
from mlflow_projects.slurm_runs import Submitted

if TYPE_CHECKING:
    from mlflow_projects.slurm_profile import Profile

TEMPLATE = ROOT / "slurm" / "job.sbatch"
_OF_A_JOB = re.compile(r"SLURM_(?!CONF$)|SLURMD_|CLOZE_(PROCESSES|SETUP|LOGS|PYTHON|SHARD_RUNS)$")


def submit(
    run_id: str, program: Program, settings: Settings, profile: "Profile", needs: Iterable[Submitted] = ()
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
    logs = ROOT / profile.logs
    logs.mkdir(parents=True, exist_ok=True)  # without it a job fails without a word
    python = profile.python or sys.executable
    log = logs / f"{run_id}-%j.log"
    options = [*profile.options, f"--job-name=cloze-{program.name}", f"--output={log}", f"--chdir={ROOT}"]
    needed = list(needs)
    if needed:
        after = ":".join(sorted({one.job_id for one in needed}))
        options += [f"--dependency=afterok:{after}", "--kill-on-invalid-dep=yes"]
        tracking.client().set_tag(run_id, "slurm.needs", ",".join(one.run_id for one in needed))
    command = [python, "-m", f"jobs.{program.name}"]
    command += [part for option, word in words(settings).items() for part in (f"--{option}", word)]
    environment = _environment(run_id, profile, logs, python, profile.processes if program.shares else 1)
    job_id = slurm.submit(TEMPLATE, command, options, environment, ROOT)
    slurm_runs.note_submitted(run_id, job_id, Path(str(log).replace("%j", job_id)))
    return slurm_runs.submitted(tracking.get_run(run_id))


def _environment(run_id: str, profile: "Profile", logs: Path, python: str, processes: int) -> dict[str, str]:
    """The client's environment, without what belongs to a job that it may itself be part of."""
    inherited = tracking.child_environment(run_id)
    kept = {k: v for k, v in inherited.items() if not _OF_A_JOB.match(k) and k not in (STOP_FILE, REQUEUE_FILE)}
    given = {"CLOZE_LOGS": str(logs), "CLOZE_PYTHON": python, "CLOZE_PROCESSES": str(processes)}
    return {**kept, **given, "CLOZE_SETUP": "\n".join(profile.setup), "PYTHONUNBUFFERED": "1"}
