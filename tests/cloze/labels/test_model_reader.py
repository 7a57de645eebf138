"""Lettering read by asking a model: the real client against a Gemini on loopback, and a real open model."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.data.ocr_tables import read_lettering
from cloze.errors import DataError, SettingsError
from cloze.labels.answers import Answer, State
from cloze.labels.model_reader import SAID, SCHEMA, parse_balloons
from cloze.labels.reading import OcrSettings, read_panels
from cloze.model.base import SAMPLE_FOLDER
from tests.cloze.data.comics_files import box, write_csv
from tests.cloze.labels.lettered import picture, write_comics
from tests.cloze.labels.test_openai import server
from tests.cloze.labels.tiny import workspace
from tests.fakes.gemini_faults import Fault

__all__ = ["server"]

PANELS = {f"1/1_{number}": picture((f"LINE {number}", 20, 100)) for number in range(6)}
BALLOONS = [
    {"kind": "narration", "text": "LATER\u2028 THAT DAY", "box_2d": [0, 0, 100, 1000]},
    {"kind": "dialogue", "text": "RUN!", "box_2d": None},
    {"kind": "sign", "text": " ", "box_2d": None},
]


def model(body: Mapping[str, Any]) -> str:
    """What the fake answers; the prompt and the schema are those of reading."""
    assert "Copy all of its lettering" in body["contents"][0]["parts"][1]["text"]
    assert body["generationConfig"]["responseJsonSchema"] == SCHEMA
    return json.dumps({"balloons": BALLOONS})


@pytest.fixture
def comics(tmp_path):
    return write_comics(tmp_path / "comics", PANELS)


@pytest.fixture
def gemini(start_gemini):
    return start_gemini(model)


def run(tmp_path, comics, name: str = "out", **settings: Any):
    """Metrics, rows by panel id of the table, and rows of `readings`; all runs of a test share their ledger."""
    options: dict[str, Any] = {"comics": str(comics), "reader": "gemini-batch", "poll_s": 0.01} | settings
    place = workspace(tmp_path, name)
    metrics = read_panels(OcrSettings(**options), place)
    table = read_lettering(place.out / "ocr.csv").to_pylist()
    rows = {f"{row['book']}/{row['page']}_{row['panel']}": row for row in table}
    return metrics, rows, pq.read_table(place.out / "readings.parquet").to_pylist()


@pytest.mark.parametrize("reader", ["gemini-batch", "gemini"])
def test_each_panel_is_read_once_typed_and_in_its_own_pixels(gemini, comics, tmp_path, reader):
    metrics, rows, readings = run(tmp_path, comics, reader=reader)
    assert list(rows) == list(PANELS)
    assert {row["text"] for row in rows.values()} == {"LATER THAT DAY RUN!"}
    first, second = rows["1/1_0"]["bubbles"]
    assert (first["kind"], second["kind"]) == ("narration", "dialogue")
    width, height = 320, 200  # of the pictures as they lie there
    assert (first["x1"], first["y1"], first["x2"], first["y2"]) == (0, 0, width, height / 10)
    assert second["x1"] is None
    assert {row["state"] for row in readings} == {"ok"}
    assert metrics["panels_ok"] == 6
    assert metrics["cost_usd"] > 0
    again, *_ = run(tmp_path, comics, "again", reader=reader)
    assert again["panels_kept"] == 6
    assert again["estimate/requests"] == 0
    assert again["cost_usd"] == metrics["cost_usd"]
    assert [bill.times for bill in gemini.bills().values()] == [1] * 6


def test_what_is_known_is_not_asked_for_and_stays(gemini, comics, tmp_path):
    write_csv(comics / "ocr.csv", [box("1/1_0", "AS IT WAS")])
    metrics, rows, readings = run(tmp_path, comics)
    assert metrics["panels_to_read"] == len(readings) == 5
    assert rows["1/1_0"]["text"] == "AS IT WAS"


def test_a_panel_that_says_nothing_is_known_to_say_nothing(gemini, comics, tmp_path):
    gemini._model = lambda body: '{"balloons": []}'
    metrics, rows, _ = run(tmp_path, comics)
    assert metrics["panels_empty"] == 6
    assert {row["text"] for row in rows.values()} == {""}


@pytest.mark.parametrize(
    ("kind", "state"), [("safety", "blocked"), ("max_tokens", "truncated"), ("no_candidates", "failed")]
)
def test_a_panel_that_could_not_be_read_is_counted_with_the_reason_and_has_no_row(
    gemini, comics, tmp_path, kind, state
):
    gemini.reset(model, key_of=lambda body: "any", faults=[Fault(kind, key="any", times=6)])
    metrics, rows, readings = run(tmp_path, comics, reader="gemini", attempts=1)
    assert metrics[f"panels_{state}"] == 6
    assert rows == {}
    assert all(row["state"] == state and row["reason"] for row in readings)


def test_an_answer_that_is_not_what_was_asked_for_is_asked_again_and_then_unparsable(gemini, comics, tmp_path):
    gemini._model = lambda body: '{"balloons": [{"kind": "shout", "text": "HEY", "box_2d": null}]}'
    metrics, _, readings = run(tmp_path, comics, attempts=2)
    assert metrics["panels_unparsable"] == 6
    assert readings[0]["reason"].startswith("not the balloons that were asked for: ValueError: kind 'shout'")
    assert sum(bill.times for bill in gemini.bills().values()) == 12


def test_the_budget_is_a_hard_limit(gemini, comics, tmp_path):
    with pytest.raises(SettingsError, match=r"budget_usd is 1e-06; it must be 0\.00"):
        run(tmp_path, comics, budget_usd=0.000001)
    assert not gemini.calls


def test_a_dry_run_writes_the_requests_and_the_estimate_and_sends_nothing(gemini, comics, tmp_path):
    place = workspace(tmp_path)
    metrics = read_panels(OcrSettings(comics=str(comics), reader="gemini-batch", dry_run=True), place)
    assert metrics["estimate/requests"] == 6
    assert metrics["estimate/cost_usd"] > 0
    lines = gzip.decompress((place.out / "requests.jsonl.gz").read_bytes()).splitlines()
    assert [json.loads(line)["key"].split("/")[:3] for line in lines] == [["ocr", *name.split("/")] for name in PANELS]
    assert sorted(path.name for path in place.out.iterdir()) == ["requests.jsonl.gz"]
    assert not gemini.calls


def test_pictures_that_cannot_be_sent_are_found_before_anything_is_paid(gemini, comics, tmp_path):
    write_comics(comics, {"1/1_1": b""})
    with pytest.raises(DataError, match="1_1"):
        run(tmp_path, comics)
    assert not gemini.calls


def test_nothing_to_read_asks_nothing(gemini, comics, tmp_path):
    write_csv(comics / "ocr.csv", [box(name, "KNOWN") for name in PANELS])
    metrics, rows, _ = run(tmp_path, comics)
    assert metrics["panels_to_read"] == 0
    assert len(rows) == 6
    assert not gemini.calls


def test_pictures_are_sent_large_enough_to_be_read(gemini, comics, tmp_path):
    write_comics(comics, PANELS)
    run(tmp_path, comics, reader="gemini", limit=1, pictures="inline")
    request = json.loads((tmp_path / "out" / "request.json").read_text())
    assert request["generationConfig"]["mediaResolution"] == "MEDIA_RESOLUTION_HIGH"
    assert request["generationConfig"]["temperature"] == 0


def test_an_open_model_that_cannot_read_is_said_not_to_have_read(server, comics, tmp_path, monkeypatch):
    """The sample base writes captions whatever it is asked: none of its answers may pass for lettering."""
    monkeypatch.setenv("OPENAI_BASE_URL", server)
    options: dict[str, Any] = {
        "model": str(SAMPLE_FOLDER),
        "prices": "0,0",
        "max_output_tokens": 32,
        "attempts": 1,
        "limit": 2,
    }
    metrics, rows, readings = run(tmp_path, comics, reader="openai", **options)
    assert rows == {}
    assert {row["state"] for row in readings} <= {"unparsable", "truncated"}
    assert metrics["input_tokens"] > 0


def test_the_local_reader_has_no_dry_run():
    with pytest.raises(SettingsError, match="dry_run is 'yes'; it must be no with the local reader"):
        OcrSettings(dry_run=True)


edges = st.lists(st.integers(0, 1000), min_size=2, max_size=2, unique=True).map(sorted)
balloons = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(SAID),
        "text": st.text(),
        "box_2d": st.none() | st.tuples(edges, edges).map(lambda e: [e[0][0], e[1][0], e[0][1], e[1][1]]),
    }
)


@given(st.lists(balloons, max_size=5))
def test_balloons_come_out_as_they_went_in_but_for_white_space_and_the_order_of_edges(given_balloons):
    answer = parse_balloons(Answer("k", State.OK, json.dumps({"balloons": given_balloons})))
    assert answer.state is State.OK
    expected = [
        [b["kind"], " ".join(b["text"].split()), b["box_2d"] and [b["box_2d"][i] for i in (1, 0, 3, 2)]]
        for b in given_balloons
        if b["text"].split()
    ]
    assert json.loads(answer.text or "") == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["balloons", "kind"]), inner),
)


@given(json_values | st.fixed_dictionaries({"balloons": st.lists(json_values, min_size=1)}))
def test_anything_else_is_unparsable_with_a_reason_and_never_an_error(value):
    answer = parse_balloons(Answer("k", State.OK, json.dumps(value)))
    if isinstance(value, dict) and value.get("balloons") == []:
        assert answer.text == "[]"
    else:
        assert (answer.state, answer.text) == (State.UNPARSABLE, None)
        assert answer.reason


@pytest.mark.parametrize("edges", [[0, 0, 0, 10], [10, 0, 5, 10], [0, 0, 1001, 10], [0, 1, 2], ["a", 0, 1, 1]])
def test_a_box_that_is_none_is_refused(edges):
    said = {"balloons": [{"kind": "dialogue", "text": "HI", "box_2d": edges}]}
    assert parse_balloons(Answer("k", State.OK, json.dumps(said))).state is State.UNPARSABLE
