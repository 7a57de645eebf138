"""Shared fixtures: where the real data lies, an offline environment, and one whole study that many tests look at."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from xdist.scheduler import LoadFileScheduling

# Set before any test module imports a library that reads them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models on busy cores spin with more
os.environ["TORCHDYNAMO_DISABLE"] = "1"  # nothing is compiled here, and bitsandbytes would load the whole compiler

hypothesis.settings.register_profile("cloze", deadline=None)  # timings are for benchmarks/
hypothesis.settings.load_profile("cloze")

PROJECT = Path(__file__).resolve().parent.parent
CHROMIUM = shutil.which("chromium")


@dataclass(frozen=True)
class Study:
    """The sample study as a user gets it: what it printed, and the store that holds its runs."""

    tracking_uri: str
    printed: str

    def runs(self, step: str) -> dict[str, str]:
        """Run ids by name of the study's step, for one entry point."""
        import mlflow

        client = mlflow.MlflowClient(self.tracking_uri)
        found = client.search_runs(
            [e.experiment_id for e in client.search_experiments()], f"tags.`cloze.step` = '{step}'", max_results=100
        )
        return {run.info.run_name: run.info.run_id for run in found}


# Files that wait for other processes come first, so that no worker is left alone with one at the end.
_FIRST = ("test_study.py", "test_commands.py", "test_real_comics.py", "test_server.py", "test_jobs.py")
# File -> the one whose costly fixture, or imports, it shares.
_TOGETHER = {
    "tests/test_ui.py": "tests/test_study.py",
    "tests/test_sql_of_a_study.py": "tests/test_study.py",
    "tests/mlflow_projects/test_finetuned.py": "tests/mlflow_projects/test_served_adapter.py",
    "tests/mlflow_projects/test_model_card.py": "tests/mlflow_projects/test_served_adapter.py",
    "tests/mlflow_projects/test_comparison.py": "tests/mlflow_projects/test_served_adapter.py",
    "tests/mlflow_projects/test_render_lora.py": "tests/mlflow_projects/test_served_adapter.py",
    "tests/mlflow_projects/commands/test_predict.py": "tests/mlflow_projects/test_served_adapter.py",
    "tests/mlflow_projects/test_promotion.py": "tests/mlflow_projects/test_served_adapter.py",
    "tests/mlflow_projects/test_spool.py": "tests/mlflow_projects/test_served_adapter.py",
    "tests/slurm/test_studies.py": "tests/slurm/test_jobs.py",
    "tests/mlflow_projects/test_registry.py": "tests/mlflow_projects/test_served_adapter.py",
    "tests/cloze/scoring/test_evaluate_module.py": "tests/cloze/scoring/test_bertscore.py",
}


class ByFile(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Under xdist the tests of a file share a worker and its fixtures; so do files that share a costly one."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _TOGETHER.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Not by marks: what xdist 3.8 makes of them is lost on pytest 9.2."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first."""
    items.sort(key=lambda item: _FIRST.index(item.path.name) if item.path.name in _FIRST else len(_FIRST))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real comics, predictions and folds; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("CLOZE_TEST_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real test data: {folder} is not a folder (set CLOZE_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a real browser; tests that look at pages skip where there is none."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine; .ci/packages installs it (as root, on Debian)")
    return CHROMIUM


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What may be made again, such as the drawn sample; all workers share it."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"
    shared.mkdir(exist_ok=True)
    return shared


@pytest.fixture(scope="session")
def environment(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of commands that tests run as a user would: no tracking variables, one cache for all of them."""
    kept = {name: value for name, value in os.environ.items() if not re.match("MLFLOW_|CLOZE_|CONDA", name)}
    binaries = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    places = {"CLOZE_CACHE": str(cache), "CLOZE_STATE": str(tmp_path_factory.mktemp("state"))}
    return {**kept, **places, "PATH": binaries, "MLFLOW_DISABLE_TELEMETRY": "true"}


@pytest.fixture(scope="session")
def study(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The whole 2x2 on the sample, run once through `mlflow run` (a few minutes)."""
    folder = tmp_path_factory.mktemp("study")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    done = subprocess.run(
        ["mlflow", "run", str(PROJECT), "--env-manager", "local", "--experiment-name", "comics-cloze"],
        env={**environment, "MLFLOW_TRACKING_URI": uri},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Study(uri, done.stdout + done.stderr)
