"""Shared fixtures: where the real data lies, and an offline, single-threaded environment."""

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models on busy cores spin with more

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real comics, predictions and folds; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("CLOZE_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real test data: {folder} is not a folder (set CLOZE_TEST_DATA)")
    return folder
