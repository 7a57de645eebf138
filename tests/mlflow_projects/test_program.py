"""A program turns words into a run with parameters, results, a message and an exit status."""

import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cloze.errors import DataError, SettingsError
from cloze.settings import setting
from cloze.stage import StoppedError, Workspace
from mlflow_projects.program import Program, run_program


@dataclass(frozen=True, kw_only=True)
class CopySettings:
    text: str = setting("What to write.", default="panel")
    times: int = setting("How often.", default=1)

    def __post_init__(self) -> None:
        if self.times < 1:
            raise SettingsError("times", self.times, "1 or more")


def copy(settings: CopySettings, workspace: Workspace) -> dict[str, float]:
    if settings.text.startswith("slow"):
        time.sleep(1)
    if settings.text.endswith("broken"):
        raise DataError("comics.csv row 7", "page is 'x', not a whole number", "mend the row")
    if settings.text == "stopped":
        raise StoppedError("stopped after step 3 (SIGTERM)")
    for step in range(settings.times):
        workspace.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
    (workspace.out / "copy.txt").write_text(settings.text * settings.times, encoding="utf-8")
    return {"copies": settings.times}


@pytest.fixture
def program() -> Program:
    # It borrows the name of a real entry point, whose code is part of the step key.
    return Program(CopySettings, copy, "sequences", "Copy a text.")


@pytest.fixture
def newest(store):
    def find():
        experiment = store.get_experiment_by_name("comics-cloze").experiment_id
        return store.search_runs([experiment], order_by=["attributes.start_time DESC"], max_results=1)[0]

    return find


def test_a_run_holds_settings_metrics_curves_files_and_versions(store, program, newest):
    assert run_program(program, {"times": "3"}) == 0
    run = newest()
    assert run.info.status == "FINISHED"
    assert run.data.params == {"cfg.text": "panel", "cfg.times": "3"}
    assert run.data.metrics["copies"] == 3
    assert [point.step for point in store.get_metric_history(run.info.run_id, "train/loss")] == [0, 1, 2]
    artifacts = {item.path for item in store.list_artifacts(run.info.run_id)}
    assert artifacts == {"copy.txt", "environment.json", "step.json"}
    assert Path(run.info.artifact_uri.removeprefix("file://"), "copy.txt").read_text() == "panelpanelpanel"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"times": "0"}, "times is 0; it must be 1 or more"),
        ({"times": "many"}, "times is 'many'; it must be a whole number"),
        ({"text": "broken"}, "comics.csv row 7: page is 'x', not a whole number; mend the row"),
    ],
)
def test_what_the_caller_can_mend_ends_with_status_2_and_the_message_in_the_run(
    store, program, newest, capsys, given, message
):
    assert run_program(program, given) == 2
    run = newest()
    assert (run.info.status, run.data.tags["cloze.error"]) == ("FAILED", message)
    assert capsys.readouterr().err == f"Error: {message}\n"
    assert "copy.txt" not in {item.path for item in store.list_artifacts(run.info.run_id)}


@pytest.mark.parametrize("has_scheduler", [False, True])
def test_work_that_was_asked_to_stop_is_killed_and_not_failed(
    store, program, newest, capsys, monkeypatch, tmp_path, has_scheduler
):
    """A scheduler that is left word needs no exit status; others are told to ask again (EX_TEMPFAIL)."""
    if has_scheduler:
        monkeypatch.setenv("CLOZE_REQUEUE_FILE", str(tmp_path / "requeue"))
    assert run_program(program, {"text": "stopped"}) == (0 if has_scheduler else 75)
    assert "Stopped: stopped after step 3 (SIGTERM)" in capsys.readouterr().err
    run = newest()
    assert run.info.status == "KILLED"
    assert run.data.tags["cloze.end_reason"] == "stopped after step 3 (SIGTERM)"


def test_an_unknown_option_ends_the_run_that_mlflow_opened(store, program, monkeypatch):
    experiment = store.get_experiment_by_name("comics-cloze").experiment_id
    run_id = store.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with pytest.raises(SystemExit) as ended:
        program(["--tines", "3"])
    assert ended.value.code == 2
    run = store.get_run(run_id)
    assert run.info.status == "FAILED"
    assert "--tines" in run.data.tags["cloze.error"]


def test_help_shows_each_setting_with_its_default(program):
    text = program.command().get_help(program.command().make_context("sequences", []))
    assert "--times INTEGER" in text or "--times INT" in text
    assert "How often.  [default: 1]" in text


@pytest.mark.parametrize(("text", "status"), [("slow", "FINISHED"), ("slow and broken", "FAILED")])
def test_a_program_that_asks_logs_the_load_of_the_machine_and_leaves_no_thread(
    store, program, newest, monkeypatch, text, status
):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    run_program(replace(program, system_metrics=True), {"text": text})
    run = newest()
    assert run.info.status == status
    assert run.data.metrics["system/cpu_utilization_percentage"] >= 0
    assert not [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]


def test_a_short_run_is_not_held_up_until_the_load_is_next_sampled(store, program, newest):
    run_program(program, {})  # what is imported once is imported now
    started = time.monotonic()
    assert run_program(replace(program, system_metrics=True), {}) == 0
    assert time.monotonic() - started < 8  # MLflow samples every ten seconds
    assert not any(name.startswith("system/") for name in newest().data.metrics)


def test_a_run_that_goes_on_keeps_its_parameters(store, program, newest, monkeypatch, capsys):
    assert run_program(program, {"times": "3"}) == 0
    run_id = newest().info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert run_program(program, {"times": "3"}) == 0
    assert store.get_run(run_id).data.params["cfg.times"] == "3"
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert run_program(program, {"times": "4"}) == 2
    message = f"times is '4'; it must be '3', with which run {run_id} began: parameters never change on resume"
    assert capsys.readouterr().err == f"Error: {message}\n"
    assert store.get_run(run_id).data.params["cfg.times"] == "3"
