"""A real tracking store for tests that start runs."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest

from mlflow_projects.program import find_program
from tests.cloze.model.conftest import Tables, make_tables
from tests.conftest import PROJECT


@pytest.fixture(scope="session")
def store_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An SQLite store with its experiment, artifacts beside it. Making one takes seconds, so all tests share it."""
    folder: Path = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.create_experiment("comics-cloze", artifact_location=(folder / "mlruns").as_uri())
    return uri


@pytest.fixture
def store(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.MlflowClient]:
    """The shared store as this process and its children see it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    for variable in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    mlflow.set_tracking_uri(store_uri)
    yield mlflow.MlflowClient()
    mlflow.end_run()


@dataclass(frozen=True)
class Finetuned:
    """A tiny adapter as a user gets it, and what its base predicts with it.

    Attributes:
        run_id: of `finetune`.
        predicted: run of `predict` that was given `models:/cloze-pred/1`.
        base: folder of its base.
        environment: of commands that use the store.
    """

    run_id: str
    predicted: str
    base: Path
    tables: Tables
    environment: dict[str, str]


@pytest.fixture(scope="session")
def finetuned(store_uri: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Finetuned:
    """Run once for all tests."""
    # The sample's base says different things of different panels; one with random weights does not.
    base = tmp_path_factory.mktemp("bases") / "base"
    shutil.copytree(PROJECT / "cloze" / "sample" / "weights" / "base", base)
    tables = make_tables(tmp_path_factory.mktemp("tables"))
    given = {**environment, "MLFLOW_TRACKING_URI": store_uri}
    run_id = run_here("finetune", _training(tables, base), given)
    predicted = run_here("predict", ["--sequences", tables.sequences, "--adapter", "models:/cloze-pred/1"], given)
    return Finetuned(run_id, predicted, base, tables, given)


def finetune_again(finetuned: Finetuned, seed: int) -> str:
    """Run that makes another version of the tiny adapter."""
    return run_here(
        "finetune", [*_training(finetuned.tables, finetuned.base), "--seed", str(seed)], finetuned.environment
    )


def _training(tables: Tables, base: Path) -> list[str]:
    data = ["--sequences", tables.sequences, "--labels", tables.labels["pred"]]
    return [*data, "--base", str(base), "--epochs", "2", "--batch", "4"]


@pytest.fixture(scope="session")
def evaluated(finetuned: Finetuned) -> str:
    """Run of `eval` that judged the tiny adapter."""
    return evaluate(finetuned, "--predictions", f"runs:/{finetuned.predicted}")


def evaluate(finetuned: Finetuned, *words: str) -> str:
    """Id of a run of `eval` on the test sequences of the tables."""
    labels = [word for name, path in finetuned.tables.labels.items() for word in (f"--{name}_labels", path)]
    return run_here("eval", ["--resamples", "100", *labels, *words], finetuned.environment)


def run_here(name: str, words: Sequence[str], environment: Mapping[str, str]) -> str:
    """Id of the run that a program says it finished. It runs in this process: starting another takes seconds."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        set_environment(patch, environment)
        mlflow.set_tracking_uri(environment["MLFLOW_TRACKING_URI"])
        status = find_program(name).command().main(list(words), standalone_mode=False)
    assert status == 0, said.getvalue()
    return said.getvalue().partition(f"{name} finished: runs:/")[2][:32]


def set_environment(patch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    """Let this process have an environment as a command would, and nothing else."""
    for name in set(os.environ) - set(environment):
        patch.delenv(name)
    for name, value in environment.items():
        patch.setenv(name, value)
