"""Runs end as they should however their process ends, and results are only read from runs that may be believed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.exceptions import MlflowException

from cloze.errors import DataError, MissingInputError
from mlflow_projects import artifacts, tracking
from mlflow_projects.guardian import REASON

# A process that opens a run, prints its id, and does what it is told.
PROCESS = """
import os, signal, sys, time
from mlflow_projects import tracking
from mlflow_projects.signals import raise_on_signals

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background is born without it
raise_on_signals()
with tracking.tracked("sequences") as run_id:
    print(run_id, flush=True)
    if sys.argv[1] == "raise":
        raise ValueError("no panels")
    if sys.argv[1] == "exit":
        sys.exit(3)
    if sys.argv[1] == "wait":
        time.sleep(600)
"""


def start(way: str) -> tuple["subprocess.Popen[str]", str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, way], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def wait_for_end(store: mlflow.MlflowClient, run_id: str, seconds: float = 60) -> mlflow.entities.Run:
    deadline = time.monotonic() + seconds
    while (run := store.get_run(run_id)).info.status == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.2)
    return run


@pytest.mark.parametrize(
    ("way", "status", "error"),
    [("finish", "FINISHED", None), ("raise", "FAILED", "no panels"), ("exit", "FAILED", "3")],
)
def test_a_run_ends_as_its_block_is_left(store, way, status, error):
    process, run_id = start(way)
    process.wait(timeout=60)
    run = store.get_run(run_id)
    assert (run.info.status, run.data.tags.get("cloze.error")) == (status, error)


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        (signal.SIGTERM, "KILLED", "terminated by SIGTERM"),
        (signal.SIGUSR1, "KILLED", "terminated by SIGUSR1"),
        (signal.SIGINT, "KILLED", "interrupted"),
        (signal.SIGKILL, "FAILED", REASON),
    ],
)
def test_no_run_stays_running_when_its_process_is_killed(store, sent, status, reason):
    process, run_id = start("wait")
    process.send_signal(sent)
    process.wait(timeout=60)
    run = wait_for_end(store, run_id)
    assert (run.info.status, run.data.tags["cloze.end_reason"]) == (status, reason)


def test_a_run_whose_machine_was_switched_off_is_ended_by_the_next_one(store):
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    namespace = Path("/proc/self/ns/pid").readlink()
    gone = {"cloze.host": os.uname().nodename, "cloze.process": f"an-earlier-boot {namespace} {os.getpid()} 1"}
    run_id = store.create_run(experiment, tags=gone).info.run_id
    tracking.end_dead_runs()
    assert store.get_run(run_id).info.status == "FAILED"


@pytest.mark.parametrize(("age_hours", "status"), [(25, "FAILED"), (1, "RUNNING")])
def test_a_run_whose_environment_never_became_ready_is_ended_after_a_day(store, age_hours, status):
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    opened = {"mlflow.project.entryPoint": "finetune"}  # what `mlflow run` writes before it makes the environment
    began = int(1000 * (time.time() - age_hours * 3600))
    run_id = store.create_run(experiment, tags=opened, start_time=began).info.run_id
    tracking.end_dead_runs()
    assert store.get_run(run_id).info.status == status
    store.set_terminated(run_id, "FAILED")


def test_a_second_signal_does_not_cut_short_the_end_that_the_first_began(store):
    process, run_id = start("wait")
    process.send_signal(signal.SIGINT)
    for _ in range(20):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    process.wait(timeout=60)
    run = wait_for_end(store, run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags["cloze.end_reason"] in ("interrupted", "terminated by SIGTERM")


def test_a_curve_that_cannot_be_logged_fails_the_run(store):
    with pytest.raises(MlflowException, match="failures occurred"), tracking.tracked("finetune") as run_id:
        tracking.log_step_metrics({"no such: name?": 1.0}, 1)
    assert store.get_run(run_id).info.status == "FAILED"


def test_steps_that_read_the_same_data_at_the_same_moment_all_show_it(store):
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    log = "import sys, mlflow; from mlflow_projects import tracking\nwith mlflow.start_run(sys.argv[1]): "
    log += "sys.stdin.read(); tracking.log_dataset('sequences', 'runs:/x', sys.argv[2])"
    runs = [store.create_run(experiment).info.run_id for _ in range(3)]
    processes = [
        subprocess.Popen([sys.executable, "-c", log, run, runs[0]], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for run in runs
    ]
    time.sleep(5)  # until they have imported MLflow
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    shown = [store.get_run(run).inputs.dataset_inputs[0].dataset.digest for run in runs]
    assert shown == [runs[0]] * 3


def test_a_run_of_a_live_process_is_left_alone(store):
    with tracking.tracked("sequences") as run_id:
        tracking.end_dead_runs()
        assert store.get_run(run_id).info.status == "RUNNING"


@pytest.fixture
def finished(store, tmp_path) -> str:
    out = tmp_path / "out"
    out.mkdir()
    (out / "panels.parquet").write_bytes(b"whole")
    with tracking.tracked("ingest") as run_id:
        tracking.log_results(out, {"facts.parquet": "runs:/x/facts.parquet"}, key=run_id)
    return run_id


def test_results_are_found_by_step_key_and_carry_their_lineage(finished):
    run = tracking.find_finished("ingest", finished)
    assert run is not None
    assert tracking.lineage(run) == {
        "facts.parquet": "runs:/x/facts.parquet",
        "panels.parquet": f"runs:/{finished}/panels.parquet",
    }


def test_a_result_that_was_changed_afterwards_is_refused(finished, tmp_path):
    run = tracking.require_finished(finished)
    path = artifacts.artifact_path(run, "panels.parquet", tmp_path)
    path.write_bytes(b"other")
    with pytest.raises(DataError, match=r"SHA-256 differs"):
        artifacts.artifact_path(run, "panels.parquet", tmp_path)


def test_a_result_that_was_deleted_is_not_reused(finished, tmp_path):
    Path(artifacts.artifact_path(tracking.require_finished(finished), "panels.parquet", tmp_path)).unlink()
    assert tracking.find_finished("ingest", finished) is None


def test_a_run_that_failed_is_no_input(store):
    with pytest.raises(ValueError, match="broken"), tracking.tracked("ingest") as run_id:
        raise ValueError("broken comics")
    with pytest.raises(MissingInputError, match=rf"run {run_id} \(ingest\) is FAILED.*broken comics"):
        tracking.require_finished(run_id)


def test_an_unknown_run_is_no_input(store):
    with pytest.raises(MissingInputError, match="no run 0000"):
        tracking.require_finished("0" * 32)
