"""Where a run comes from: process, machine, commit, versions."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

from mlflow_projects.slurm import own_job_id

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("mlflow", "torch", "transformers", "peft", "duckdb", "pyarrow", "pillow", "numpy", "rouge-score-rs")


def process_tags() -> dict[str, str]:
    """The process that holds a run, and its batch job, so that it can be told when they have ended."""
    job_id = own_job_id()
    return {
        "cloze.host": platform.node(),
        "cloze.process": f"{_machine()} {os.getpid()} {_began(os.getpid())}",
        **({"slurm.job_id": job_id} if job_id else {}),
    }


def _machine() -> str:
    """What a process id belongs to: one boot of a machine, and on Linux one namespace (a container has its own)."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():
        return f"{boot.read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    return f"{psutil.boot_time():.0f} -"


def _began(pid: int) -> str:
    """When a process began, by a clock that nobody sets: on Linux in ticks since the boot."""
    status = Path(f"/proc/{pid}/stat")
    if status.exists():  # the second field is a name, which may hold anything
        return status.read_text().rpartition(")")[2].split()[19]
    return f"{psutil.Process(pid).create_time():.0f}"


def is_gone(process: str) -> bool:
    """Whether a process of this host has ended; one in a namespace that cannot be seen from here is left alone."""
    boot, namespace, pid, began = process.split()
    here, visible = _machine().split()
    if boot != here:
        return True
    return namespace == visible and not (psutil.pid_exists(int(pid)) and _began(int(pid)) == began)


def code_tags() -> dict[str, str]:
    """Commit, and whether the tree differs from it; nothing where this is no git checkout."""
    commit, status = (_git("rev-parse", "HEAD"), _git("status", "--porcelain"))
    if commit is None or status is None:
        return {}
    return {"mlflow.source.git.commit": commit, "cloze.git_dirty": "yes" if status else "no"}


def _git(*arguments: str) -> str | None:
    try:
        answer = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def environment() -> dict[str, str]:
    """Versions of what decides results."""
    packages = {name: version(name) for name in _PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), **packages}
