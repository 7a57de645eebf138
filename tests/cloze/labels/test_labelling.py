"""The `label` step against a Gemini on loopback: what it pays for, what it writes, and what it refuses."""

import gzip
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloze.errors import DataError, MissingInputError, SettingsError
from cloze.labels.labelling import LabelSettings, label
from cloze.labels.parse import FIELDS
from cloze.tables import images_uri, read_table
from tests.cloze.labels.tiny import kill_at, workspace, write_sequences
from tests.fakes.gemini import FakeGemini
from tests.fakes.gemini_faults import Fault

N = 12


def model(body: Mapping[str, Any]) -> str:
    """Says which lettering it was shown last; JSON where that is asked for."""
    texts = [part["text"] for part in body["contents"][0]["parts"] if "text" in part]
    said = " ".join("".join(texts).split()[-40:])
    if "responseJsonSchema" in body["generationConfig"]:
        return json.dumps(dict.fromkeys(FIELDS, said))
    return f"Then: {said}"


@pytest.fixture
def sequences(tmp_path: Path) -> str:
    return str(write_sequences(tmp_path, N))


@pytest.fixture
def gemini(start_gemini):
    return start_gemini(model)


def run(tmp_path: Path, name: str, sequences: str, **settings: Any) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Metrics and rows of one run; all runs of a test share their ledger."""
    options: dict[str, Any] = {"labeller": "gemini-batch", "poll_s": 0.01} | settings
    metrics = label(LabelSettings(sequences=sequences, **options), workspace(tmp_path, name))
    return metrics, read_table(tmp_path / name / "labels.parquet", "labels").to_pylist()


@pytest.mark.parametrize("labeller", ["gemini-batch", "gemini"])
@pytest.mark.parametrize("paradigm", ["pred", "descp"])
def test_every_sequence_gets_one_label_that_is_paid_once(gemini, sequences, tmp_path, labeller, paradigm):
    metrics, rows = run(tmp_path, "out", sequences, labeller=labeller, paradigm=paradigm)
    assert metrics["labels_ok"] == len(rows) == N
    assert {bill.times for bill in gemini.bills().values()} == {1}
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(metrics["cost_usd"])
    assert metrics["input_tokens"] > 0
    for row in rows:
        last = int(row["sequence_id"].rpartition("_")[2]) - (paradigm == "pred")
        assert f"LINE {last}" in row["text"], "joined to another sequence"
        assert (row["paradigm"], row["model"], row["labeller"]) == (paradigm, "gemini-3.1-flash-lite", labeller)
    assert images_uri(read_table(tmp_path / "out" / "labels.parquet", "labels")) == str(tmp_path / "comics")


def test_pictures_that_sequences_share_are_uploaded_once(gemini, sequences, tmp_path):
    run(tmp_path, "out", sequences)
    uploads = gemini.calls["upload"]
    assert uploads == N + 4 + 1  # every picture but the last target, and the file of requests


def test_the_same_run_again_sends_nothing_and_writes_the_same_table(gemini, sequences, tmp_path):
    first, rows = run(tmp_path, "out", sequences)
    calls = Counter(gemini.calls)
    again, same = run(tmp_path, "again", sequences)
    assert same == rows
    assert gemini.calls == calls
    assert again["estimate/requests"] == 0
    assert again["cost_usd"] == first["cost_usd"]


def test_a_larger_limit_keeps_what_a_smaller_one_paid_for(gemini, sequences, tmp_path):
    _, few = run(tmp_path, "few", sequences, limit=3)
    _, whole = run(tmp_path, "whole", sequences)
    assert len(few) == 3
    assert [row for row in whole if row in few] == few
    assert {bill.times for bill in gemini.bills().values()} == {1}


def test_only_the_split_that_is_asked_for_is_labelled(gemini, sequences, tmp_path):
    _, rows = run(tmp_path, "out", sequences, split="test")
    assert len(rows) == N // 2


def test_a_budget_that_does_not_reach_is_refused_before_anything_is_sent(gemini, sequences, tmp_path):
    with pytest.raises(SettingsError, match=r"budget_usd is 0.0001; it must be 0.00\d\d or more"):
        run(tmp_path, "out", sequences, budget_usd=0.0001)
    assert not gemini.calls
    assert not list((tmp_path / "out").glob("*.parquet"))


def test_a_dry_run_writes_the_requests_and_the_estimate_and_sends_nothing(gemini, sequences, tmp_path):
    settings = LabelSettings(sequences=sequences, labeller="gemini-batch", dry_run=True)
    metrics = label(settings, workspace(tmp_path))
    with gzip.open(tmp_path / "out" / "requests.jsonl.gz", "rt", encoding="utf-8") as stream:
        requests = [json.loads(line) for line in stream]
    assert len(requests) == metrics["estimate/requests"] == N
    assert 0 < metrics["estimate/cost_usd"] < 0.1
    assert not gemini.calls
    for request, number in zip(requests, range(N), strict=True):
        assert f"2_{number + 5}.jpg" not in json.dumps(request["request"])


def test_json_labels_have_their_fields_and_what_is_no_json_is_no_label(sequences, tmp_path, monkeypatch):
    def broken(body: Mapping[str, Any]) -> str:
        return "LINE 7" if "LINE 7" in json.dumps(body) else model(body)

    with FakeGemini(broken) as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        metrics, rows = run(tmp_path, "out", sequences, form="json", attempts=2)
        n_paid = sum(bill.times for bill in server.bills().values())
    assert metrics["labels_unparsable"] == 5  # the windows that show panel 7
    assert n_paid == N + 5  # each of these was asked again
    assert {row["state"] for row in rows} == {"ok", "unparsable"}
    assert all(set(json.loads(row["text"])) == set(FIELDS) for row in rows if row["text"])


def test_whatever_goes_wrong_with_single_answers_is_a_state_and_never_text(gemini, sequences, tmp_path):
    label(LabelSettings(sequences=sequences, labeller="gemini-batch", dry_run=True), workspace(tmp_path, "dry"))
    with gzip.open(tmp_path / "dry" / "requests.jsonl.gz", "rt", encoding="utf-8") as stream:
        keys = [json.loads(line)["key"] for line in stream]
    once = ["drop", "torn", "duplicate", "unknown_key", "max_tokens", "empty", "no_candidates", "recitation"]
    gemini.faults += [Fault(kind, key=key) for kind, key in zip(once, keys, strict=False)]
    gemini.faults += [Fault("safety", key=keys[-1]), Fault("error", key=keys[-2], value=3)]
    metrics, rows = run(tmp_path, "out", sequences)
    states = {row["sequence_id"]: (row["state"], row["text"] is not None) for row in rows}
    assert Counter(states.values()) == {("ok", True): N - 2, ("blocked", False): 1, ("failed", False): 1}
    assert {row["reason"] for row in rows if row["state"] == "blocked"} == {"SAFETY"}
    assert metrics["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in rows))


def test_another_model_s_answers_stop_the_run(sequences, tmp_path, monkeypatch):
    with FakeGemini(model, answered_by="gemini-3.5-flash-lite") as server:
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SettingsError, match=r"gemini-3.5-flash-lite gave 12 of the answers"):
            run(tmp_path, "out", sequences)


def test_pictures_that_are_gone_are_found_before_anything_is_sent(gemini, sequences, tmp_path):
    (tmp_path / "comics" / "1" / "2_3.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 16 pictures cannot be sent: 1/2_3.jpg \(missing\)"):
        run(tmp_path, "out", sequences)
    assert not gemini.calls


def test_without_a_key_it_says_what_to_set(sequences, tmp_path, monkeypatch):
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingInputError, match="GEMINI_API_KEY"):
        run(tmp_path, "out", sequences)


PROCESS = """
import sys
from pathlib import Path
from cloze.labels.labelling import LabelSettings, label
from tests.cloze.labels.tiny import workspace
settings = LabelSettings(sequences=sys.argv[1], labeller="gemini-batch", poll_s=0.05)
label(settings, workspace(Path(sys.argv[2]), "killed"))
"""


@pytest.mark.parametrize("call", ["upload", "create", "get"])
def test_a_process_that_is_killed_is_gone_on_with_and_nothing_is_paid_twice(start_gemini, sequences, tmp_path, call):
    server = start_gemini(model, polls=30, latency_s=0.05)
    kill_at(server, call, PROCESS, sequences, str(tmp_path))
    metrics, _ = run(tmp_path, "resumed", sequences)
    assert metrics["labels_ok"] == N
    assert {bill.times for bill in server.bills().values()} == {1}
