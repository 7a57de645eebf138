"""What the warehouse gets from a tracking store: the wanted runs with what they were made from, local or remote."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner, Result

from cloze.digests import file_digest
from cloze.errors import MissingInputError, SettingsError
from cloze.tables import table, write_table
from mlflow_projects.cli import main
from mlflow_projects.collected import Filter, collect
from tests.servers import free_port, wait_until_healthy

EXPERIMENT = "collected"


def finished(store, name: str, tables: dict[str, list[dict[str, Any]]], folder: Path, **more: Any) -> str:
    """A finished run of a step of ours; its id."""
    experiment = store.get_experiment_by_name(EXPERIMENT)
    tags = {"cloze.step": name.partition("-")[0], **more.pop("tags", {})}
    run_id: str = store.create_run(experiment.experiment_id, run_name=name, tags=tags).info.run_id
    for table_name, rows in tables.items():
        path = folder / run_id / f"{table_name}.parquet"
        path.parent.mkdir(exist_ok=True)
        write_table(table(table_name, rows), path)
        store.log_artifact(run_id, str(path))
        store.set_tag(run_id, f"cloze.digest.{path.name}", file_digest(path))
    for key, value in more.items():
        store.log_param(run_id, f"cfg.{key}", value)
    store.set_terminated(run_id)
    return run_id


def fill(store, folder: Path) -> dict[str, str]:
    """Two labelled paradigms, predictions of one sequence, and their evaluation."""
    panel = {"panel_id": "1/2_0", "image": None, "text": "OH!"}
    key = {"sequence_id": "1/2_0"}
    sequence = {**key, "book": 1, "story": 1, "group": 1, "split": "test", "context": [panel], "target": panel}
    runs = {"sequences": finished(store, "sequences", {"sequences": [sequence]}, folder)}
    for paradigm in ("pred", "descp"):
        label = {**key, "paradigm": paradigm, "state": "ok", "text": f"A {paradigm} label."}
        tags = {"cloze.paradigm": paradigm}
        sequences = f"runs:/{runs['sequences']}/sequences.parquet"
        runs[paradigm] = finished(
            store, f"label-{paradigm}", {"labels": [label]}, folder, tags=tags, sequences=sequences
        )
    said = {**key, "prediction": "He falls.", "finish_reason": "stop"}
    runs["predict"] = finished(store, "predict", {"predictions": [said]}, folder, blind="none")
    score = {**key, "reference": "pred", "metric": "rougeL", "score": 0.25}
    runs["eval"] = finished(
        store,
        "eval",
        {"scores": [score], "floors": [{**score, "floor": "foreign", "score": 0.125}]},
        folder,
        tags={"cloze.paradigm": "pred", "cloze.condition": "zero-shot"},
        predictions=f"runs:/{runs['predict']}/predictions.parquet",
        pred_labels=f"runs:/{runs['pred']}/labels.parquet",
        sequences=f"runs:/{runs['sequences']}/sequences.parquet",
        split="test",
    )
    runs["stranger"] = store.create_run(store.get_experiment_by_name(EXPERIMENT).experiment_id).info.run_id
    return runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place: Path = tmp_path_factory.mktemp("collected")
    return place


@pytest.fixture(scope="module")
def filled(folder) -> dict[str, str]:
    """An SQLite store; ids of its runs, by name."""
    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.create_experiment(EXPERIMENT, artifact_location=(folder / "mlruns").as_uri())
    return fill(mlflow.MlflowClient(), folder)


@pytest.fixture
def local(folder, filled, monkeypatch) -> dict[str, str]:
    """The same, as this process sees it."""
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    return filled


@pytest.fixture
def ask(monkeypatch, tmp_path):
    monkeypatch.setenv("CLOZE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CLOZE_STATE", str(tmp_path / "state"))

    def asked(*words: str, **more: Any) -> Result:
        return CliRunner().invoke(main, ["sql", *words], **more)

    return asked


def names(local: dict[str, str], cache: Path, **wanted: Any) -> set[str]:
    by_id = {run_id: name for name, run_id in local.items()}
    return {by_id[record.run_id] for record in collect(Filter(**wanted), cache)}


def test_runs_that_are_no_step_of_ours_are_left_out(local, tmp_path):
    assert names(local, tmp_path) == set(local) - {"stranger"}


def test_a_run_comes_with_what_it_was_made_from(local, tmp_path):
    assert names(local, tmp_path, runs=[local["eval"]]) == {"eval", "predict", "pred", "sequences"}
    assert names(local, tmp_path, runs=[f"runs:/{local['descp']}"]) == {"descp", "sequences"}


def test_runs_are_chosen_by_paradigm_tag_and_experiment(local, tmp_path):
    assert names(local, tmp_path, paradigm="descp") == {"descp", "sequences", "predict"}
    assert names(local, tmp_path, tags={"cloze.condition": "zero-shot"}) == {"eval", "predict", "pred", "sequences"}
    assert names(local, tmp_path, experiment=EXPERIMENT) == set(local) - {"stranger"}
    with pytest.raises(SettingsError, match=f"experiment is 'other'; it must be one of .*{EXPERIMENT}"):
        names(local, tmp_path, experiment="other")
    with pytest.raises(MissingInputError, match="no run"):
        names(local, tmp_path, runs=["f" * 32])


@pytest.mark.parametrize("form", ["table", "csv", "json", "markdown", "parquet"])
def test_an_answer_in_every_format(local, ask, tmp_path, form):
    out = tmp_path / "answer"
    done = ask("-c", "select reference, metric, score from scores", "--format", form, "-o", str(out))
    assert done.exit_code == 0, done.output
    if form == "parquet":
        import pyarrow.parquet as pq

        assert pq.read_table(out).to_pylist() == [{"reference": "pred", "metric": "rougeL", "score": 0.25}]
        return
    text = out.read_text()
    if form == "json":
        assert json.loads(text) == [{"reference": "pred", "metric": "rougeL", "score": 0.25}]
    elif form == "csv":
        assert text == "reference,metric,score\npred,rougeL,0.25\n"
    elif form == "markdown":
        assert text == "| reference | metric | score |\n| --- | --- | --: |\n| pred | rougeL | 0.2500 |\n"
    else:
        assert text.splitlines()[-1] == "(1 row)"


@pytest.mark.parametrize("form", ["table", "markdown"])
def test_what_a_model_wrote_does_not_steer_the_terminal(local, ask, form):
    done = ask("-c", "select chr(27) || '[2J' || chr(7) || 'a|b' as said", "--format", form)
    assert done.exit_code == 0
    assert "\x1b" not in done.stdout
    assert "\x07" not in done.stdout
    assert "\N{REPLACEMENT CHARACTER}[2J" in done.stdout


def test_a_named_question_with_a_parameter(local, ask):
    done = ask("two_by_two", "-p", "metric=rougeL", "--format", "json")
    (row,) = json.loads(done.stdout)
    assert (row["score"], row["floor"], row["floor_name"], row["lift"]) == (0.25, 0.125, "foreign", 0.125)
    assert json.loads(ask("two_by_two", "-p", "metric=bleu", "--format", "json").stdout) == []


def test_statements_from_a_pipe_are_answered_one_by_one(local, ask):
    done = ask(input="select 1 as one; select nonsense; two_by_two")
    assert done.exit_code == 0
    assert "one" in done.stdout
    assert "nonsense" in done.stderr
    assert "zero-shot" in done.stdout


def test_the_list_says_what_rows_and_parameters_are(ask):
    listed = ask("--list").stdout
    assert "two_by_two\n    One row is the newest evaluation of one condition under one paradigm." in listed
    assert "-p metric=rougeL  a metric of texts" in listed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["two_by_too"], "two_by_two"),
        (["two_by_two", "-p", "metric"], "param is 'metric'; it must be of the form NAME=VALUE"),
        (["two_by_two", "-c", "select 1"], "left out where a question is named"),
        (["-c", "drop view runs"], "drop is not allowed"),
        (["-c", "select 1", "--format", "parquet"], "together with -o FILE"),
    ],
)
def test_what_cannot_be_asked_ends_with_2_and_says_why(local, ask, words, said):
    done = ask(*words)
    assert done.exit_code == 2
    assert said in done.stderr


@pytest.mark.parametrize("words", [["sql", "two_by_two"], ["explain", "f" * 32], ["lineage", "f" * 32]])
def test_looking_makes_no_store(monkeypatch, tmp_path, words):
    monkeypatch.setenv("CLOZE_CACHE", str(tmp_path / "cache"))
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2
    assert "no tracking store; set MLFLOW_TRACKING_URI" in done.stderr
    assert not (tmp_path / "mlflow.db").exists()


def test_a_damaged_table_is_named_and_the_others_answer(local, ask, caplog):
    run = mlflow.MlflowClient().get_run(local["descp"])
    path = Path(run.info.artifact_uri.removeprefix("file://")) / "labels.parquet"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        done = ask("label_states", "--format", "json")
    finally:
        path.write_bytes(content)
    assert [row["paradigm"] for row in json.loads(done.stdout)] == ["pred"]
    assert f"{path}: is not what run {local['descp']} wrote" in caplog.text + done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory, environment) -> Iterator[tuple[str, dict[str, str]]]:
    """A tracking server that keeps artifacts to itself; its address, and the runs in it."""
    place = tmp_path_factory.mktemp("remote")
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", url.rpartition(":")[2]]
    command += ["--backend-store-uri", f"sqlite:///{place}/mlflow.db", "--artifacts-destination", str(place / "kept")]
    with (place / "log").open("w") as log:
        given = {**environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(command, env=given, stdout=log, stderr=log, cwd=place)
        try:
            wait_until_healthy(f"{url}/health", process)
            mlflow.set_tracking_uri(url)
            mlflow.create_experiment(EXPERIMENT)
            yield url, fill(mlflow.MlflowClient(), place)
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_tables_of_a_remote_store_are_fetched_once(server, ask, monkeypatch, tmp_path):
    url, _ = server
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    mlflow.set_tracking_uri(url)
    first = ask("two_by_two", "--format", "json")
    assert [row["score"] for row in json.loads(first.stdout)] == [0.25]
    fetched = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.parquet")}
    assert len(fetched) == 6
    again = ask("two_by_two", "--format", "json")
    assert again.stdout == first.stdout
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.parquet")} == fetched
    assert not any(name.startswith(".partial") for _, folders, _ in os.walk(tmp_path) for name in folders)
