"""Fine-tuning as a job: whatever happens to its processes, there is one run, with a true state and a whole curve."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import mlflow
import pytest

from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.training import finetune
from cloze.settings import parse
from tests.cloze.model.conftest import make_workspace
from tests.conftest import PROJECT

N_STEPS = 24
CURVE = ("train/loss", "train/lr", "train/grad_norm", "train/tokens_per_second", "train/data_wait", "train/memory_gb")


@pytest.fixture
def options(base_folder, tables):
    return {
        "sequences": tables.sequences,
        "labels": tables.labels["pred"],
        "base": str(base_folder),
        "epochs": "8",
        "batch": "2",
        "accumulate": "2",
        "rank": "4",
        "save_minutes": "0",
    }


@pytest.fixture
def job(store_uri, store, environment, options, tmp_path):
    """Starts `finetune` on tiny tables, with a state folder of the test's own."""
    words = [part for name, word in options.items() for part in (f"--{name}", word)]
    state = tmp_path / "state"

    def start(*launcher: str, **variables: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", *(launcher or ()), "jobs.finetune", *words],
            cwd=PROJECT,
            env={**environment, "MLFLOW_TRACKING_URI": store_uri, "CLOZE_STATE": str(state), **variables},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return start


def said(process: "subprocess.Popen[str]") -> str:
    out, _ = process.communicate(timeout=300)
    return out


def await_step(folder: Path, process: "subprocess.Popen[str]", step: int) -> None:
    """Wait for the checkpoint after a step."""
    while not any(path.name >= f"step-{step:09d}" for path in folder.glob("state/checkpoints/*/step-*")):
        assert process.poll() is None, said(process)
        time.sleep(0.01)


def runs_of(store: mlflow.MlflowClient, before: set[str]) -> list[mlflow.entities.Run]:
    """Runs of `finetune` that were not there before, the oldest first."""
    experiments = [experiment.experiment_id for experiment in store.search_experiments()]
    found = store.search_runs(experiments, "tags.`cloze.step` = 'finetune'", order_by=["attributes.start_time"])
    return [run for run in found if run.info.run_id not in before]


@pytest.fixture
def before(store):
    return {run.info.run_id for run in runs_of(store, set())}


def require_whole_curve(store: mlflow.MlflowClient, run: mlflow.entities.Run) -> None:
    for name in CURVE:
        steps = Counter(metric.step for metric in store.get_metric_history(run.info.run_id, name))
        assert steps == Counter(range(1, N_STEPS + 1)), name


def test_a_job_that_is_killed_and_then_preempted_ends_as_one_run_with_a_whole_curve(job, store, before, tmp_path):
    first = job()
    await_step(tmp_path, first, 6)
    first.kill()
    first.wait()

    again = job()  # a run of its own, in which the killed one goes on
    await_step(tmp_path, again, 12)
    again.send_signal(signal.SIGTERM)
    out = said(again)
    assert again.returncode == 75, out
    assert "going on from the checkpoint after step" in out
    assert "a checkpoint was saved" in out
    killed, waiting = runs_of(store, before)
    assert (killed.info.status, waiting.info.status) == ("KILLED", "KILLED")
    assert killed.data.tags["cloze.attempts"] == "2"
    assert killed.data.tags["cloze.end_reason"].startswith("stopped after step")
    assert waiting.data.tags["cloze.resumed"] == f"runs:/{killed.info.run_id}"
    assert "the same command goes on from there" in waiting.data.tags["cloze.end_reason"]

    requeued = job(MLFLOW_RUN_ID=killed.info.run_id, CLOZE_REQUEUE_FILE=str(tmp_path / "requeue"))
    out = said(requeued)
    assert requeued.returncode == 0, out
    assert f"finetune finished: runs:/{killed.info.run_id}" in out
    killed, waiting = runs_of(store, before)
    assert killed.info.status == "FINISHED"
    assert killed.data.tags["cloze.attempts"] == "3"
    assert not {"cloze.end_reason", "cloze.error"} & set(killed.data.tags)
    assert "cloze.step_key" not in waiting.data.tags
    assert not [item for item in store.list_artifacts(waiting.info.run_id) if item.path == "adapter"]
    assert not (tmp_path / "requeue").exists()
    require_whole_curve(store, killed)
    assert killed.data.metrics["steps_before_resume"] >= 12
    assert killed.inputs is not None
    assert len(killed.inputs.dataset_inputs) == 2
    assert not list(tmp_path.glob("state/checkpoints/*/step-*"))


def test_of_several_processes_only_the_first_speaks_to_mlflow_and_they_learn_what_one_learns(
    job, store, before, options, tmp_path
):
    process = job(
        *("torch.distributed.run", "--nproc-per-node=2", "--master-port=29519", "-m"),
        OMP_NUM_THREADS="1",
        MLFLOW_EXPERIMENT_NAME="comics-cloze",
    )
    out = said(process)
    assert process.returncode == 0, out
    (run,) = runs_of(store, before)
    assert run.info.status == "FINISHED"
    assert out.count("finetune finished") == 1
    require_whole_curve(store, run)
    alone: dict[int, dict[str, float]] = {}
    finetune(parse(FinetuneSettings, options), make_workspace(tmp_path / "out", alone))
    for name in ("train/loss", "train/grad_norm", "val/loss"):
        shared = {metric.step: metric.value for metric in store.get_metric_history(run.info.run_id, name)}
        assert shared == pytest.approx({step: v[name] for step, v in alone.items() if name in v}, rel=1e-4)


def test_a_step_that_one_process_does_is_not_done_by_two(environment, store_uri):
    process = subprocess.run(
        [sys.executable, "-m", "jobs.ingest"],
        cwd=PROJECT,
        env={**environment, "MLFLOW_TRACKING_URI": store_uri, "WORLD_SIZE": "2", "RANK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert "processes is 2; it must be 1: ingest does not share its work" in process.stderr
    assert os.environ.get("WORLD_SIZE") is None
