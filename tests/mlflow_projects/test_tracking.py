"""Runs end as they should however their process ends, and results are only read from runs that may be believed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from cloze.errors import DataError, MissingInputError
from mlflow_projects import tracking
from mlflow_projects.guardian import REASON

# A process that opens a run, prints its id, and does what it is told.
PROCESS = """
import os, signal, sys, time
from mlflow_projects import tracking

def terminate(*_):
    raise tracking.Terminated

signal.signal(signal.SIGTERM, terminate)
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
    gone = {"cloze.host": os.uname().nodename, "cloze.pid": str(os.getpid()), "cloze.process_start": "1.0"}
    run_id = store.create_run(experiment, tags=gone).info.run_id
    tracking.end_dead_runs()
    assert store.get_run(run_id).info.status == "FAILED"


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
    path = tracking.artifact_path(run, "panels.parquet", tmp_path)
    path.write_bytes(b"other")
    with pytest.raises(DataError, match=r"SHA-256 differs"):
        tracking.artifact_path(run, "panels.parquet", tmp_path)


def test_a_result_that_was_deleted_is_not_reused(finished, tmp_path):
    Path(tracking.artifact_path(tracking.require_finished(finished), "panels.parquet", tmp_path)).unlink()
    assert tracking.find_finished("ingest", finished) is None


def test_a_run_that_failed_is_no_input(store):
    with pytest.raises(ValueError, match="broken"), tracking.tracked("ingest") as run_id:
        raise ValueError("broken comics")
    with pytest.raises(MissingInputError, match=rf"run {run_id} \(ingest\) is FAILED.*broken comics"):
        tracking.require_finished(run_id)


def test_an_unknown_run_is_no_input(store):
    with pytest.raises(MissingInputError, match="no run 0000"):
        tracking.require_finished("0" * 32)
