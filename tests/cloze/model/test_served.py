"""Predictions by a server: the real `openai` client against one that misbehaves on request."""

import base64
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from cloze.errors import MissingInputError, SettingsError
from cloze.labels.prompts import Words, model_prompt
from cloze.model import served
from cloze.model.decoding import predict
from cloze.model.predict_settings import PredictSettings
from cloze.model.served import UnansweredError
from cloze.tables import read_table
from tests.cloze.model.conftest import make_workspace
from tests.fakes.http import RESET, LoopbackServer, Reply, Request, as_json

SOON = {"retry-after-ms": "1"}


class Server(LoopbackServer):
    """Answers every request in the same way, unless `fault` has something else to say to its n-th sending."""

    def __init__(self, fault: Callable[[int], Reply | None] = lambda n: None, model: str = "m") -> None:
        super().__init__(self._complete)
        self.fault, self.model = fault, model
        self.bodies: list[dict[str, Any]] = []
        self.sendings: Counter[str] = Counter()

    def _complete(self, request: Request) -> Reply:
        body = request.json
        self.bodies.append(body)
        words = json.dumps(body["messages"])
        self.sendings[words] += 1
        if (reply := self.fault(len(self.bodies))) is not None:
            return reply
        message = {"role": "assistant", "content": f" Pip runs {len(words)}. "}
        return as_json(
            {
                "id": "1",
                "object": "chat.completion",
                "created": 0,
                "model": self.model,
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
            }
        )


@pytest.fixture
def settings(tables):
    return PredictSettings(sequences=tables.sequences, engine="openai", served="m", batch=3)


@pytest.fixture
def run(settings, tmp_path, monkeypatch):
    """Predict against a server; rows of the table and what was logged."""

    def run(server: Server, out: str = "out", **changes: Any) -> tuple[list[dict[str, Any]], dict[str, float]]:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        workspace = make_workspace(tmp_path / out)
        figures = predict(PredictSettings(**{**vars(settings), **changes}), workspace)
        rows: list[dict[str, Any]] = read_table(workspace.out / "predictions.parquet", "predictions").to_pylist()
        return rows, figures

    return run


def test_every_sequence_is_predicted_in_table_order(run, tables):
    with Server() as server:
        rows, figures = run(server)
    assert [row["sequence_id"] for row in rows] == [r["sequence_id"] for r in tables.rows if r["split"] == "test"]
    assert all(row["prediction"].startswith("Pip runs") and row["finish_reason"] == "stop" for row in rows)
    assert {(row["prompt_tokens"], row["output_tokens"]) for row in rows} == {(9, 3)}
    assert figures["predictions"] == figures["finished_stop"] == len(rows)


def test_the_server_is_given_the_models_own_words_and_the_pictures_files(run, tables):
    with Server() as server:
        run(server, shard="0/8", max_new_tokens=7)
    (body,) = server.bodies
    (row,) = [r for r in tables.rows if r["split"] == "test"][:1]
    content = body["messages"][0]["content"]
    words = [part.text for part in model_prompt([p["text"] for p in row["context"]]) if isinstance(part, Words)]
    assert [part["text"] for part in content if part["type"] == "text"] == words
    pictures = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    files = [(tables.pictures / panel["image"]).read_bytes() for panel in row["context"]]
    assert pictures == [f"data:image/jpeg;base64,{base64.b64encode(file).decode()}" for file in files]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 7, 0.0)


def test_hidden_pictures_are_grey_ones(run):
    with Server() as server:
        run(server, shard="0/8", blind="images")
    content = server.bodies[0]["messages"][0]["content"]
    pictures = {part["image_url"]["url"][:22] for part in content if part["type"] == "image_url"}
    assert pictures == {"data:image/png;base64,"}


@pytest.mark.parametrize("busy", [Reply(429, headers=SOON), Reply(500, headers=SOON), Reply(503, headers=SOON)])
def test_a_busy_server_is_asked_again(run, busy):
    with Server(lambda n: busy if server.sendings[json.dumps(server.bodies[-1]["messages"])] == 1 else None) as server:
        rows, _ = run(server)
    assert len(rows) == 8
    assert set(server.sendings.values()) == {2}


def test_a_broken_connection_is_no_answer_and_is_tried_again(run):
    with Server(lambda n: RESET if n == 1 else None) as server:
        rows, _ = run(server, shard="0/8")
    assert (len(rows), len(server.bodies)) == (1, 2)


def test_a_server_that_answers_half_of_the_requests_fails_the_run_and_loses_no_answer(run, monkeypatch, tmp_path):
    monkeypatch.setattr(served, "_RETRIES", 1)
    seen: dict[str, int] = {}

    def half(n: int) -> Reply | None:
        words = json.dumps(server.bodies[-1]["messages"])
        return Reply(500, headers=SOON) if seen.setdefault(words, len(seen)) % 2 else None

    with Server(half) as server:
        with pytest.raises(UnansweredError, match=r"left 4 of 8 requests unanswered, each tried 2 times \(first: "):
            run(server)
        assert not (tmp_path / "out" / "predictions.parquet").exists()
        server.fault = lambda n: None
        before = Counter(server.sendings)
        rows, figures = run(server, "again")
    assert len(rows) == 8
    assert figures["predictions_kept"] == 4
    assert sum((server.sendings - before).values()) == 4  # only those that had no answer


def test_hopeless_servers_are_left_early(run, monkeypatch):
    monkeypatch.setattr(served, "_RETRIES", 0)
    monkeypatch.setattr(served, "_HOPELESS", 2)
    with Server(lambda n: Reply(500)) as server:
        with pytest.raises(UnansweredError, match="unanswered"):
            run(server, batch=1)
        assert len(server.bodies) < 8


def test_credentials_that_are_not_taken_end_the_run_at_once(run):
    with Server(lambda n: Reply(401)) as server, pytest.raises(MissingInputError, match="OPENAI_API_KEY"):
        run(server, batch=1)


def test_a_model_that_the_server_does_not_know_is_named(run):
    with Server(lambda n: Reply(404)) as server, pytest.raises(SettingsError, match="served"):
        run(server, batch=1)


def test_another_models_answers_are_refused(run):
    with Server(model="other") as server, pytest.raises(SettingsError, match="the model that answers, which is other"):
        run(server, batch=1)


def test_without_a_server_it_says_what_to_set(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(MissingInputError, match="OPENAI_BASE_URL"):
        predict(settings, make_workspace(tmp_path / "out"))


@pytest.mark.parametrize("change", [{"served": ""}, {"precision": "bf16"}, {"image_layout": "multi"}])
def test_what_a_server_decides_cannot_be_set_here(tables, change):
    with pytest.raises(SettingsError, match=next(iter(change))):
        PredictSettings(**{"sequences": tables.sequences, "engine": "openai", "served": "m", **change})
