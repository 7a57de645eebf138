"""Labels by a server that speaks OpenAI's protocol: a real `transformers serve` with the sample base."""

import asyncio
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from cloze.errors import ClozeError, MissingInputError, SettingsError
from cloze.labels.answers import State
from cloze.labels.labelling import LabelSettings, label
from cloze.labels.openai import open_openai, to_answer, to_chat
from cloze.labels.provider import UncertainError
from cloze.labels.requests import Asking, request_body
from cloze.model.base import SAMPLE_FOLDER
from cloze.tables import read_table
from tests.cloze.labels.tiny import workspace, write_sequences
from tests.conftest import PROJECT


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of the server; it takes some seconds to start."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.serve", "--port", str(port), "--device", "cpu"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
            break
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.5)
    yield f"http://127.0.0.1:{port}/v1"
    process.terminate()
    process.wait(timeout=30)


def test_an_open_model_labels_every_sequence(server, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server)
    sequences = write_sequences(tmp_path, 4)
    settings = LabelSettings(
        sequences=str(sequences), labeller="openai", model=str(SAMPLE_FOLDER), prices="0,0", max_output_tokens=48
    )
    metrics = label(settings, workspace(tmp_path))
    rows = read_table(tmp_path / "out" / "labels.parquet", "labels").to_pylist()
    assert len(rows) == metrics["labels"] == 4
    assert all((row["state"] == "ok") == (row["text"] is not None) for row in rows)
    assert metrics["labels_ok"] + metrics["labels_truncated"] == 4
    assert metrics["input_tokens"] > 4 * 5 * 17  # five pictures of 17 tokens each
    assert {row["labeller"] for row in rows} == {"openai"}


def test_a_server_that_is_not_there_is_an_uncertain_answer(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{free_port()}/v1")

    async def ask() -> None:
        provider = open_openai()
        try:
            await provider.ask("model", "key", request_body([], ASKING, 1, lambda name: {}))
        finally:
            await provider.close()

    with pytest.raises(UncertainError):
        asyncio.run(ask())


def test_without_a_server_and_a_key_it_says_what_to_set(monkeypatch):
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingInputError, match="OPENAI_BASE_URL"):
        open_openai()


def test_a_model_must_be_named():
    with pytest.raises(SettingsError, match="model is ''"):
        LabelSettings(labeller="openai")


ASKING = Asking("pred", "json", "m", "low", 0.3, 0.9, 100)


def test_pictures_travel_as_data_urls_and_json_is_asked_for_with_its_schema():
    panel = {"text": "HI", "image": "1/2_3.jpg"}
    body = request_body([panel] * 5, ASKING, 2, lambda name: {"inlineData": {"mimeType": "image/jpeg", "data": "QUJD"}})
    chat = to_chat(body)
    pictures = [part["image_url"]["url"] for part in chat["messages"][0]["content"] if part["type"] == "image_url"]
    assert pictures == ["data:image/jpeg;base64,QUJD"] * 5
    assert (chat["seed"], chat["max_tokens"]) == (2, 200)
    assert chat["response_format"]["json_schema"]["strict"] is True


def test_a_file_at_another_provider_cannot_be_sent():
    body = request_body(
        [{"text": "", "image": "x"}], ASKING, 1, lambda name: {"fileData": {"fileUri": "https://files/x"}}
    )
    with pytest.raises(ValueError, match="no way to send fileData"):
        to_chat(body)


@pytest.mark.parametrize(
    ("finish", "content", "state"),
    [
        ("stop", "Pip runs.", State.OK),
        ("stop", "  ", State.EMPTY),
        ("length", "Pip ru", State.TRUNCATED),
        ("content_filter", None, State.BLOCKED),
    ],
)
def test_an_answer_is_a_label_only_if_it_is_whole(finish, content, state):
    completion = {
        "model": "m",
        "choices": [{"finish_reason": finish, "message": {"content": content}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }
    answer = to_answer("key", completion)
    assert (answer.state, answer.text is not None) == (state, state is State.OK)
    assert (answer.input_tokens, answer.output_tokens) == (7, 3)
    assert json.loads(answer.raw) == completion


def test_an_answer_without_choices_is_empty():
    assert to_answer("key", {"choices": []}).state is State.EMPTY
    assert issubclass(UncertainError, ClozeError)
