"""Batch jobs on a real Slurm: whatever happens to a job, its run says so."""

import json
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mlflow_projects.program import entry_points
from mlflow_projects.slurm_backend import SlurmRun
from mlflow_projects.slurm_profile import parse_profile
from mlflow_projects.slurm_submission import JOIN, TEMPLATE
from tests.cloze.data.comics_files import book_rows, write_panels
from tests.conftest import PROJECT
from tests.slurm.cluster import await_true

SLOW = 150  # seconds: a time limit, and the loss of a node, take Slurm that long to see
N_STEPS = 30
TRAINING = {"epochs": 10, "batch": 2, "accumulate": 2, "rank": 4, "save_minutes": 0}


@dataclass(frozen=True)
class Submitted:
    """Jobs that need time, submitted together; each test looks at one."""

    finished: SlurmRun
    failed: SlurmRun
    hungry: SlurmRun
    unlogged: SlurmRun
    late: SlurmRun
    limited: SlurmRun
    words: str
    folder: Path


@pytest.fixture(scope="module")
def submitted(submit, panels, never, training, tmp_path_factory) -> Submitted:
    folder = tmp_path_factory.mktemp("submitted")
    words = f"{folder}/a b; touch {folder}/INJECTED; $(touch {folder}/INJECTED) ' \" $HOME"
    node1 = {"nodelist": "node1"}
    found = Submitted(
        late=submit("sequences", {**node1, "time": "1"}, panels=never),
        limited=submit("finetune", {**node1, "time": "2", "signal": "B:USR1@115"}, **training),
        finished=submit("sequences", node1, panels=panels),
        failed=submit("sequences", node1, panels=words),
        hungry=submit("sequences", {**node1, "mem": "60M"}, panels=panels),
        unlogged=submit("sequences", {**node1, "begin": "now+2"}, {"logs": str(folder / "logs")}, panels=panels),
        words=words,
        folder=folder,
    )
    (folder / "logs").rmdir()
    return found


@pytest.fixture(scope="module")
def training(base_folder, tables) -> dict[str, object]:
    return {"sequences": tables.sequences, "labels": tables.labels["pred"], "base": base_folder, **TRAINING}


def curve(store: mlflow.MlflowClient, run_id: str) -> list[tuple[int, float]]:
    return sorted((metric.step, metric.value) for metric in store.get_metric_history(run_id, "train/loss"))


def attempt(run: mlflow.entities.Run, number: int) -> dict[str, Any]:
    return json.loads(run.data.tags[f"slurm.attempt.{number}"])


def test_a_job_that_finishes_leaves_a_finished_run_with_its_attempt_and_its_log(submitted, store):
    assert submitted.finished.wait()
    run = store.get_run(submitted.finished.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "sequences")
    assert run.data.tags["slurm.state"] == "COMPLETED"
    first = attempt(run, 0)
    assert (first["node"], first["exit_code"], first["outcome"]) == ("node1", 0, "finished")
    assert first["began"] < first["ended"]
    log = Path(store.download_artifacts(run.info.run_id, f"slurm/{run.info.run_id}-{submitted.finished.job_id}.log"))
    assert f"sequences finished: runs:/{run.info.run_id}" in log.read_text()
    assert run.data.metrics["sequences"] > 0


def test_a_job_that_fails_says_what_its_program_said_and_no_shell_reads_its_words(submitted, store):
    assert not submitted.failed.wait()
    run = store.get_run(submitted.failed.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["cloze.error"].startswith(f"{submitted.words}: no such file")
    assert "The last of its log:\n== job" in run.data.tags["cloze.error"]
    assert run.data.tags["slurm.end"].endswith("exit code 2:0")
    assert attempt(run, 0)["exit_code"] == 2
    assert not (submitted.folder / "INJECTED").exists()


def test_more_memory_than_asked_for_ends_a_run_with_that_reason(submitted, store):
    assert not submitted.hungry.wait()
    run = store.get_run(submitted.hungry.run_id)
    assert (run.info.status, run.data.tags["slurm.state"]) == ("FAILED", "OUT_OF_MEMORY")
    assert run.data.tags["cloze.error"].startswith(
        f"job {submitted.hungry.job_id} ended as OUT_OF_MEMORY on node1: it needed"
    )


@pytest.mark.parametrize("name", ["laptop", "generic", "delta-h200"])
def test_slurm_takes_every_profile_for_every_step(name, cluster):
    profile = parse_profile(json.loads((PROJECT / "slurm" / f"{name}.json").read_text()))
    for entry in (*entry_points(), JOIN):
        cluster.ask("sbatch", "--test-only", *profile.of_step(entry).options, str(TEMPLATE))


def test_what_is_wrong_with_a_submission_is_said_before_anything_waits(submit, store):
    with pytest.raises(Exception, match="contxt is '5'; it must be left out; the parameters are"):
        submit("sequences", contxt=5)
    with pytest.raises(Exception, match=r"sbatch\.output is 'x'; it must be left out"):
        submit("sequences", {"output": "x"})
    with pytest.raises(Exception, match=r"partitions is .*a profile has about, sbatch"):
        submit("sequences", {}, {"partitions": "x"})
    with pytest.raises(
        Exception, match=r"was not submitted \(runs:/\w+\): sbatch says: .*[Ii]nvalid partition"
    ) as told:
        submit("sequences", {"partition": "nowhere"})
    run = store.get_run(str(told.value).partition("runs:/")[2][:32])
    assert run.info.status == "FAILED"
    assert "nvalid partition" in run.data.tags["cloze.error"]


def test_a_job_whose_log_cannot_be_written_never_begins_and_says_why(submitted, store):
    assert not submitted.unlogged.wait()
    run = store.get_run(submitted.unlogged.run_id)
    assert run.info.status == "FAILED"
    assert "its node could not start it; can the node see the project" in run.data.tags["cloze.error"]
    assert f"there is no log at {submitted.folder}/logs" in run.data.tags["cloze.error"]


def test_a_job_warned_of_its_time_limit_saves_is_queued_again_and_goes_on_in_its_run(submitted, store, cluster):
    limited = submitted.limited
    await_true(lambda: "slurm.restarts" in store.get_run(limited.run_id).data.tags)
    cluster.ask("scontrol", "update", f"JobId={limited.job_id}", "TimeLimit=10")  # or it is warned ever again
    assert limited.wait()
    run = store.get_run(limited.run_id)
    assert run.info.status == "FINISHED"
    n_attempts = int(run.data.tags["cloze.attempts"])
    assert n_attempts >= 2
    stopped = {attempt(run, number)["outcome"] for number in range(n_attempts - 1)}
    assert (stopped, attempt(run, n_attempts - 1)["outcome"]) == ({"stopped, to be queued again"}, "finished")
    assert [step for step, _ in curve(store, run.info.run_id)] == list(range(1, N_STEPS + 1))
    assert run.data.metrics["steps_before_resume"] >= 1
    assert not {"cloze.end_reason", "cloze.error"} & set(run.data.tags)


def test_two_processes_on_two_nodes_train_along_the_curve_of_one(submitted, submit, training, store):
    assert submitted.limited.wait()
    shared = submit("finetune", {"nodes": 2}, **{**training, "save_minutes": 1})
    assert shared.wait()
    ours, theirs = (dict(curve(store, run.run_id)) for run in (shared, submitted.limited))
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert attempt(store.get_run(shared.run_id), 0)["node"] == "node[1-2]"


def test_a_cancelled_job_leaves_a_killed_run_whether_it_ran_or_waited(submit, store, cloze, never):
    running = submit("sequences", panels=never)
    waiting = submit("sequences", {"begin": "now+1hour"}, panels=never)
    await_true(lambda: store.get_run(running.run_id).info.status == "RUNNING")
    listed = cloze("jobs")
    assert f"SCHEDULED  {store.get_run(waiting.run_id).info.run_name}" in listed
    assert f"runs:/{running.run_id}  job {running.job_id} is RUNNING" in listed
    for submitted in (running, waiting):
        assert f"runs:/{submitted.run_id} is KILLED" in cloze("jobs", "cancel", f"runs:/{submitted.run_id}")
        run = store.get_run(submitted.run_id)
        assert run.info.status == "KILLED"
        assert f"job {submitted.job_id} ended as CANCELLED" in run.data.tags["slurm.end"]
    assert "nothing to cancel" in cloze("jobs", "cancel", running.run_id)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_leaves_or_dies_changes_nothing(how, store, cloze, slurm_environment, panels, tmp_path):
    words = ["--backend", "slurm", "--backend-config", json.dumps({"sbatch": {"mem": "2G", "begin": "now+3"}})]
    named = ["-e", "sequences", "-P", f"panels={panels}", "--experiment-name", "comics-cloze"]
    client = subprocess.Popen(
        ["mlflow", "run", str(PROJECT), *words, *named],
        env=slurm_environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert client.stdout is not None
    said = next(line for line in client.stdout if "submitted" in line)
    run_id = said.partition("runs:/")[2].strip()
    client.send_signal(how)
    rest = client.communicate(timeout=60)[0]
    if how == signal.SIGINT:
        assert client.returncode == 130
        assert "goes on without you" in rest
        assert f"cloze jobs cancel {run_id}" in rest
    await_true(lambda: store.get_run(run_id).info.status == "FINISHED")
    await_true(lambda: run_id not in cloze("jobs"))
    assert store.get_run(run_id).data.tags["slurm.state"] == "COMPLETED"


def test_a_job_whose_node_was_lost_is_run_again_in_its_run(submit, store, cluster, tmp_path):
    panels = tmp_path / "panels.parquet"
    os.mkfifo(panels)
    lost = submit("sequences", {"nodelist": "node2"}, panels=panels)
    await_true(lambda: "cloze.host" in store.get_run(lost.run_id).data.tags)
    cluster.lose("node2")
    panels.unlink()
    write_panels(panels, [row for book in range(1, 8) for row in book_rows(book, n_pages=4)])
    cluster.give_back("node2")
    assert lost.wait()
    run = store.get_run(lost.run_id)
    assert (run.info.status, run.data.tags["slurm.restarts"]) == ("FINISHED", "1")
    assert attempt(run, 0)["outcome"].startswith("ended without a word")
    assert attempt(run, 1)["outcome"] == "finished"


def test_a_job_that_cannot_save_before_its_time_limit_fails_with_that_reason(submitted, store, cloze, cluster):
    await_true(lambda: cluster.state(submitted.late.job_id) == "TIMEOUT", SLOW)
    cloze("jobs")
    run = store.get_run(submitted.late.run_id)
    assert run.info.status == "FAILED"
    assert (
        f"job {submitted.late.job_id} ended as TIMEOUT on node1: it had not saved and left"
        in run.data.tags["slurm.end"]
    )
    assert submitted.late.run_id not in cloze("jobs")
