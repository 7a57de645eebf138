"""A registered adapter answers as `predict` does, in a fresh process and behind a real server."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModelContext

from cloze.digests import folder_digest
from cloze.tables import read_table
from mlflow_projects.served_adapter import ServedAdapter
from tests.conftest import PROJECT
from tests.servers import free_port, wait_until_healthy

LOAD = """
import json, sys
import mlflow

answers = mlflow.pyfunc.load_model("models:/cloze-pred/1").predict(json.load(sys.stdin))
print(answers.to_json(orient="records"))
"""
CONFIG = {"base": "", "precision": "fp32", "max_new_tokens": 8, "n_panels": 5}


@pytest.fixture(scope="module")
def predictions(finetuned, store_uri) -> list[dict[str, Any]]:
    """What `predict` wrote."""
    import mlflow

    run = mlflow.MlflowClient(store_uri).get_run(finetuned.predicted)
    table = Path(run.info.artifact_uri.removeprefix("file://")) / "predictions.parquet"
    rows: list[dict[str, Any]] = read_table(table, "predictions").to_pylist()
    return rows


@pytest.fixture(scope="module")
def requests(finetuned, predictions) -> list[dict[str, Any]]:
    """The same sequences as requests."""
    rows = {row["sequence_id"]: row["context"] for row in finetuned.tables.rows}
    return [
        {
            "images": [base64.b64encode(_bytes(finetuned, panel)).decode() for panel in rows[predicted["sequence_id"]]],
            "texts": [panel["text"] for panel in rows[predicted["sequence_id"]]],
        }
        for predicted in predictions
    ]


def _bytes(finetuned, panel) -> bytes:
    content: bytes = (finetuned.tables.pictures / panel["image"]).read_bytes()
    return content


def texts(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(row["prediction"], row["finish_reason"]) for row in rows]


def test_a_fresh_process_gets_exactly_the_text_that_predict_gives(finetuned, predictions, requests):
    done = subprocess.run(
        [sys.executable, "-c", LOAD],
        input=json.dumps(requests),
        cwd=PROJECT,
        env=finetuned.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert texts(answers) == texts(predictions)
    assert len({row["prediction"] for row in answers}) > 1
    assert answers[0]["settings"]["precision"] == "fp32"
    assert len(answers[0]["settings"]["adapter_digest"]) == 64


@pytest.fixture(scope="module")
def server(finetuned, tmp_path_factory) -> Iterator[str]:
    """Address of `mlflow models serve`, allowed to read the pictures of the tables."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/cloze-pred/1"]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**finetuned.environment, "CLOZE_IMAGES": str(finetuned.tables.pictures)}
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as output:
        # The server is a child of the command: a group of their own ends both.
        process = subprocess.Popen(
            command, cwd=PROJECT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}/ping", process)
            yield f"http://127.0.0.1:{port}/invocations"
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def ask(url: str, rows: list[dict[str, Any]]) -> tuple[int, Any]:
    """Status and answer of a request."""
    body = json.dumps({"dataframe_records": rows}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_a_server_answers_pictures_sent_and_pictures_named(finetuned, server, requests, predictions):
    context = next(row for row in finetuned.tables.rows if row["sequence_id"] == predictions[0]["sequence_id"])
    named = requests[0] | {"images": [panel["image"] for panel in context["context"]]}
    for asked in (requests[0], named):
        status, answer = ask(server, [asked])
        assert status == 200, answer
        assert texts(answer["predictions"]) == texts(predictions[:1])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"texts": ["HELP ME!"]}, "row 0: 1 texts; 5 were expected, one for each panel"),
        (
            {"images": ["!"] * 5},
            "row 0, panel 1: not base64 of a JPEG or PNG, or a path that ends in .jpg, .jpeg, .png",
        ),
        ({"images": ["../tables.jpg"] * 5}, "leaves its root"),
        ({"images": ["1/no_such.jpg"] * 5}, "row 0, panel 1: no picture 1/no_such.jpg"),
        ({"images": [1, 2, 3, 4, 5]}, "images"),
        ({"images": None}, "images"),
    ],
)
def test_a_server_refuses_a_bad_request_with_status_400_and_the_reason(server, requests, change, reason):
    status, answer = ask(server, [requests[0] | change])
    assert status == 400
    assert reason in answer["message"]


def test_a_base_that_moved_is_found_where_the_environment_says(finetuned, tmp_path, store, monkeypatch):
    adapter = _adapter(store, finetuned, tmp_path, base="/not/here")
    monkeypatch.setenv("CLOZE_BASE", str(finetuned.base))
    ServedAdapter().load_context(_context(adapter))


def test_weights_that_changed_since_they_were_registered_are_refused(finetuned, tmp_path, store):
    adapter = _adapter(store, finetuned, tmp_path)
    context = _context(adapter)
    weights = bytearray((adapter / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (adapter / "adapter_model.safetensors").write_bytes(weights)
    with pytest.raises(MlflowException, match="is not what was registered"):
        ServedAdapter().load_context(context)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"base": "/not/here"}, r"base /not/here: no such folder.*copy the folder .* name it in CLOZE_BASE"),
        (
            {"base": "sample", "digest": "0" * 64},
            r"trained on base sample .*, not on sample .*it comes with comics-cloze",
        ),
        (
            {"base": "nobody/no-base", "digest": "revision 0123456789012345678901234567890123456789"},
            r"base nobody/no-base@0123.*hf download nobody/no-base --revision 0123",
        ),
    ],
)
def test_where_the_base_is_absent_it_says_how_to_get_it(finetuned, tmp_path, store, monkeypatch, changed, reason):
    monkeypatch.delenv("CLOZE_BASE", raising=False)
    adapter = _adapter(store, finetuned, tmp_path, **changed)
    with pytest.raises(MlflowException, match=reason):
        ServedAdapter().load_context(_context(adapter))


def _context(adapter: Path) -> PythonModelContext:
    return PythonModelContext({"adapter": str(adapter)}, CONFIG | {"adapter_digest": folder_digest(adapter)})


def _adapter(store, finetuned, folder: Path, **origin: str) -> Path:
    """A copy of the adapter that says another base."""
    run = store.get_run(finetuned.run_id)
    copied = folder / "adapter"
    shutil.copytree(Path(run.info.artifact_uri.removeprefix("file://")) / "adapter", copied)
    said = json.loads((copied / "base.json").read_text())
    (copied / "base.json").write_text(json.dumps(said | origin))
    return copied
