"""A cluster, and what is run on it."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner

from mlflow_projects.cli import main
from mlflow_projects.slurm_backend import SlurmBackend, SlurmRun
from tests.cloze.data.comics_files import book_rows, write_panels
from tests.cloze.model.conftest import base_folder, tables
from tests.conftest import PROJECT
from tests.mlflow_projects.conftest import set_environment, store, store_uri
from tests.slurm.cluster import Cluster, cluster

__all__ = ["base_folder", "cluster", "store", "store_uri", "tables"]

Submit = Callable[..., SlurmRun]
LIGHT = {"cpus-per-task": 1, "mem": "2G", "time": "10"}


@pytest.fixture(scope="session")
def panels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough panels for `sequences`, which is done in a moment."""
    rows = [row for book in range(1, 8) for row in book_rows(book, n_pages=4)]
    return write_panels(tmp_path_factory.mktemp("panels") / "panels.parquet", rows)


@pytest.fixture(scope="session")
def never(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Panels that nobody ever writes: who reads them waits, at no cost, until it is killed."""
    path = tmp_path_factory.mktemp("never") / "panels.parquet"
    os.mkfifo(path)
    return path


@pytest.fixture(scope="session")
def slurm_environment(cluster: Cluster, environment: dict[str, str], store_uri: str) -> dict[str, str]:
    """Environment of commands that use the cluster and the store."""
    # The backend is found as a user's `pip install -e .` would have it found.
    return {
        **environment,
        "SLURM_CONF": cluster.configuration,
        "MLFLOW_TRACKING_URI": store_uri,
        "PYTHONPATH": str(PROJECT),
    }


@pytest.fixture(autouse=True)
def _on_the_cluster(
    store: mlflow.MlflowClient, slurm_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, slurm_environment)


@pytest.fixture(scope="session")
def submit(slurm_environment: Mapping[str, str]) -> Submit:
    """Submits an entry point as `mlflow run --backend slurm` does, and does not wait."""

    def start(
        entry: str, options: Mapping[str, Any] = {}, profile: Mapping[str, Any] = {}, /, **words: object
    ) -> SlurmRun:
        given = {"wait": False, **profile, "sbatch": {**LIGHT, **options}}
        parameters = {name: str(word) for name, word in words.items()}
        uri = slurm_environment["MLFLOW_TRACKING_URI"]
        with pytest.MonkeyPatch.context() as patch:
            set_environment(patch, slurm_environment)
            mlflow.set_tracking_uri(uri)
            experiment = mlflow.get_experiment_by_name("comics-cloze")
            assert experiment is not None
            return SlurmBackend().run(str(PROJECT), entry, parameters, None, given, uri, experiment.experiment_id)

    return start


@pytest.fixture
def cloze() -> Callable[..., str]:
    """Runs `cloze ...`; what it says."""

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, words)
        assert done.exit_code == 0, done.output
        return done.output

    return run
