"""A real tracking store for tests that start runs."""

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest


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
