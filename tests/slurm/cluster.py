"""A real Slurm of two nodes on this machine, as tests use it."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import PROJECT

_SCRIPT = PROJECT / "slurm" / "local-cluster"


@dataclass(frozen=True)
class Cluster:
    """A running cluster; its commands find it by SLURM_CONF."""

    folder: Path

    @property
    def configuration(self) -> str:
        return str(self.folder / "etc" / "slurm.conf")

    def ask(self, *command: str) -> str:
        """What a command of Slurm says."""
        given = {**os.environ, "SLURM_CONF": self.configuration}
        return subprocess.run(command, env=given, capture_output=True, text=True, check=True).stdout

    def state(self, job_id: str) -> str:
        return self.ask("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T").strip()

    def lose(self, node: str) -> None:
        """Kill a node and all that runs there."""
        subprocess.run([_SCRIPT, "lose", self.folder, node], check=True)

    def give_back(self, node: str) -> None:
        subprocess.run([_SCRIPT, "return", self.folder, node], check=True)


def await_true(what: Callable[[], bool], patience_s: float = 120) -> None:
    deadline = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < deadline, f"not so within {patience_s} s"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Starts in a second; tests skip where Slurm is not installed or cannot be started by this user."""
    missing = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not _found(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} on this machine; .ci/packages installs Slurm (as root, on Debian)")
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    started = subprocess.run([_SCRIPT, "start", folder], capture_output=True, text=True, check=False)
    if started.returncode == 2:
        pytest.skip(f"no cluster here: {started.stderr.strip()}")
    assert started.returncode == 0, started.stderr
    yield Cluster(folder)
    subprocess.run([_SCRIPT, "stop", folder], check=True)
    shutil.rmtree(folder)


def _found(command: str) -> str | None:
    return shutil.which(command, path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/sbin")
