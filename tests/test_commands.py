"""The commands of the README work on a fresh clone, in each kind of environment (the study has the local one)."""

import os
import subprocess
from pathlib import Path

import mlflow
import pytest

from tests.conftest import PROJECT


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone of the newest commit."""
    folder = tmp_path_factory.mktemp("clone") / "comics-cloze"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
    return folder


def mlflow_run(clone: Path, environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["mlflow", "run", ".", *arguments], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def statuses(clone: Path) -> set[str]:
    client = mlflow.MlflowClient(f"sqlite:///{clone / 'mlflow.db'}")
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return {run.info.status for run in client.search_runs(experiments, max_results=1000)}


def test_a_bare_run_makes_what_it_lacks_in_the_environment_of_make_setup(clone, environment):
    done = mlflow_run(clone, environment, "-e", "label", "-P", "paradigm=descp")
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("ingest", "sequences", "label"):
        assert f"finished {step}" in done.stdout or f"{step} finished" in done.stdout
    assert statuses(clone) == {"FINISHED"}


def test_uv_makes_its_own_environment_from_conda_yaml(clone, environment, tmp_path):
    # uv does not read pip's settings: a folder of wheels that pip is given (a CPU build of torch) is given to it too.
    wheels = {"UV_FIND_LINKS": os.environ["PIP_FIND_LINKS"]} if "PIP_FIND_LINKS" in os.environ else {}
    done = mlflow_run(
        clone,
        {**environment, **wheels, "MLFLOW_ENV_ROOT": str(tmp_path)},
        *("--env-manager", "uv", "-e", "sequences"),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "sequences finished" in done.stdout


def test_a_refusal_reaches_the_user_and_the_run(clone, environment):
    done = mlflow_run(clone, environment, "--env-manager", "local", "-e", "label", "-P", "paradigm=guess")
    assert done.returncode == 1  # all that `mlflow run` says of a failed step
    assert "Error: paradigm is 'guess'; it must be one of pred, descp" in done.stdout + done.stderr
    assert "RUNNING" not in statuses(clone)
