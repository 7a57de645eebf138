"""The `judge` step against a Gemini on loopback: what it pays for, what it writes, and what it refuses."""

import gzip
import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cloze.digests import file_digest
from cloze.errors import DataError, SettingsError
from cloze.judging.judging import JudgeSettings, judge
from cloze.judging.rubric import DEFAULT, RATIONALE, read_rubric
from cloze.labels.openai import to_chat
from cloze.tables import read_table
from tests.cloze.labels.tiny import kill_at, workspace, write_sequences
from tests.cloze.scoring.tiny import label, prediction, write
from tests.fakes.gemini_faults import Fault

N = 12
IDS = [f"1/2_{number + 5}" for number in range(N)]
NAMES = [criterion.name for criterion in read_rubric(DEFAULT).criteria]
MODEL = "gemini-3.1-flash-lite"


def model(body: Mapping[str, Any]) -> str:
    """Gives 5 to a prediction that says the last lettering or label it was shown, else 2."""
    said = "".join(part.get("text", "") for part in body["contents"][0]["parts"])
    truth = (re.findall("<label>(.*)</label>", said) or re.findall("Lettering: (.*)\n", said))[-1]
    (text,) = re.findall("<prediction>(.*)</prediction>", said)
    grade = 5 if text.endswith(truth) else 2
    names = body["generationConfig"]["responseJsonSchema"]["required"]
    return json.dumps({RATIONALE: f"{truth}: {text}"} | {name: grade for name in names if name != RATIONALE})


@pytest.fixture
def sequences(tmp_path: Path) -> str:
    """Twelve sequences of four books."""
    return str(write_sequences(tmp_path, N, n_groups=4))


@pytest.fixture
def predictions(tmp_path: Path) -> str:
    """All of them right."""
    return write(tmp_path, "predictions", [prediction(key, f"Then: LINE {key[4:]}") for key in IDS])


@pytest.fixture
def gemini(start_gemini):
    return start_gemini(model)


def settings_of(folder: Path, **settings: Any) -> JudgeSettings:
    files = {kind: str(folder / f"{kind}.parquet") for kind in ("sequences", "predictions")}
    options: dict[str, Any] = {"poll_s": 0.01, "resamples": 200, "control": 0.5, **files, **settings}
    return JudgeSettings(**options)


def run(folder: Path, name: str, **settings: Any) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Metrics and rows of one run; all runs of a test share their ledger."""
    metrics = judge(settings_of(folder, **settings), workspace(folder, name))
    return metrics, read_table(folder / name / "judgements.parquet", "judgements").to_pylist()


def n_paid(gemini) -> int:
    return sum(bill.times for bill in gemini.bills().values())


def requests_of(folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """What a dry run would send."""
    judge(settings_of(folder, dry_run=True, **settings), workspace(folder, "dry"))
    with gzip.open(folder / "dry" / "requests.jsonl.gz", "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


@pytest.mark.parametrize("way", ["gemini-batch", "gemini"])
def test_each_prediction_is_graded_and_a_share_again_with_another_books_all_paid_once(
    gemini, sequences, predictions, tmp_path, way
):
    metrics, rows = run(tmp_path, "out", judge=way)
    assert Counter(row["kind"] for row in rows) == {"prediction": N, "foreign": N / 2}
    assert [row["sequence_id"] for row in rows[:N]] == IDS
    for row in rows:
        grade = 5 if row["kind"] == "prediction" else 2
        assert row["grades"] == [{"criterion": name, "grade": grade} for name in NAMES]
        assert row["rationale"].startswith(f"LINE {row['sequence_id'][4:]}: "), "joined to another sequence"
        assert (row["judge"], row["model"], row["against"]) == (way, MODEL, "panel")
    assert (metrics["eval/judge/scene"], metrics["floor/foreign/judge/scene"], metrics["lift/judge/scene"]) == (5, 2, 3)
    assert (metrics["ci_low/judge/scene"], metrics["ci_high/lift/judge/scene"]) == (5, 3)
    assert (metrics["judgements_ok"], metrics["control_ok"], metrics["n_books"]) == (N, N / 2, 4)
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(metrics["cost_usd"])
    assert 0 < metrics["cost_usd"] < 2 * metrics["estimate/cost_usd"]
    assert n_paid(gemini) == N + N / 2


def test_other_books_predictions_are_those_of_other_books(gemini, sequences, predictions, tmp_path):
    _, rows = run(tmp_path, "out", control=1.0)
    groups = {row["sequence_id"]: row["group"] for row in read_table(sequences, "sequences").to_pylist()}
    control = [row for row in rows if row["kind"] == "foreign"]
    assert len(control) == N
    for row in control:
        shown = f"1/2_{row['rationale'].rpartition(' ')[2]}"
        assert groups[shown] != groups[row["sequence_id"]]


def test_the_same_run_again_sends_nothing_and_writes_the_same_bytes(gemini, sequences, predictions, tmp_path):
    first, _ = run(tmp_path, "out")
    again, _ = run(tmp_path, "again")
    assert again["estimate/requests"] == 0
    assert {key: value for key, value in again.items() if not key.startswith(("seconds", "estimate"))}.items() <= (
        first.items()
    )
    tables = [file_digest(tmp_path / name / "judgements.parquet") for name in ("out", "again")]
    assert tables[0] == tables[1]
    assert n_paid(gemini) == N + N / 2


def test_only_what_another_run_says_otherwise_is_asked_and_the_judge_cannot_tell_the_runs(
    gemini, sequences, predictions, tmp_path
):
    run(tmp_path, "out", control=0)
    other = [prediction(key, f"Then: LINE {key[4:]}") for key in IDS]
    other[3] |= {"prediction": "A dog barks.", "finish_reason": "length"}
    metrics, rows = run(tmp_path, "other", control=0, predictions=write(tmp_path, "predictions", other, "other"))
    assert metrics["estimate/requests"] == 1
    assert [row["grades"][0]["grade"] for row in rows] == [5, 5, 5, 2, *[5] * 8]
    assert n_paid(gemini) == N + 1


def test_another_rubric_asks_anew_and_its_grades_are_never_mixed_with_the_old(gemini, sequences, predictions, tmp_path):
    _, old = run(tmp_path, "out", control=0)
    rubric = tmp_path / "mine.yaml"
    rubric.write_text("humour: {question: 'Is it funny?', anchors: {0: No., 1: A bit., 2: Very.}}")
    gemini._model = lambda body: json.dumps({RATIONALE: "Ha.", "humour": 2})
    metrics, rows = run(tmp_path, "mine", control=0, rubric=str(rubric))
    assert metrics["estimate/requests"] == N
    assert metrics["eval/judge/humour"] == 2
    assert "eval/judge/scene" not in metrics
    assert {row["rubric_digest"] for row in old}.isdisjoint(row["rubric_digest"] for row in rows)
    assert {row["prompt_digest"] for row in old}.isdisjoint(row["prompt_digest"] for row in rows)


def test_grades_out_of_range_and_answers_that_are_none_are_asked_again_and_then_counted(
    gemini, sequences, predictions, tmp_path
):
    def broken(body: Mapping[str, Any]) -> str:
        answer = model(body)
        if "LINE 7:" in answer:
            return answer.replace("5", "9")
        return "Five stars!" if "LINE 8:" in answer else answer

    gemini._model = broken
    metrics, rows = run(tmp_path, "out", control=0, attempts=3)
    assert (metrics["judgements_unparsable"], metrics["judgements_ok"]) == (2, N - 2)
    bad = [row for row in rows if row["state"] == "unparsable"]
    assert [row["grades"] for row in bad] == [None, None]
    assert bad[0]["reason"] == "continuity is 9; a whole number from 1 to 5 expected"
    assert bad[1]["reason"].startswith("not JSON")
    assert metrics["eval/judge/action"] == 5  # the mean of what is known
    assert n_paid(gemini) == N + 2 * 2


def test_what_is_blocked_or_lost_is_a_state_without_grades(gemini, sequences, predictions, tmp_path):
    keys = [line["key"] for line in requests_of(tmp_path, control=0)]
    gemini.faults += [Fault("safety", key=keys[0]), Fault("error", key=keys[1], value=3), Fault("drop", key=keys[2])]
    metrics, rows = run(tmp_path, "out", control=0)
    assert Counter(row["state"] for row in rows) == {"ok": N - 2, "blocked": 1, "failed": 1}
    assert [(row["grades"], row["reason"]) for row in rows if row["state"] == "blocked"] == [(None, "SAFETY")]
    assert (metrics["judgements_blocked"], metrics["judgements_failed"]) == (1, 1)


PROCESS = """
import sys
from pathlib import Path
from cloze.judging.judging import JudgeSettings, judge
from tests.cloze.labels.tiny import workspace
settings = JudgeSettings(sequences=sys.argv[1], predictions=sys.argv[2], control=0.5, poll_s=0.05)
judge(settings, workspace(Path(sys.argv[3]), "killed"))
"""


def test_a_process_that_is_killed_is_gone_on_with_and_nothing_is_paid_twice(
    start_gemini, sequences, predictions, tmp_path
):
    server = start_gemini(model, polls=30, latency_s=0.02)
    kill_at(server, "create", PROCESS, sequences, predictions, str(tmp_path))
    metrics, _ = run(tmp_path, "resumed")
    assert (metrics["judgements_ok"], metrics["control_ok"]) == (N, N / 2)
    assert {bill.times for bill in server.bills().values()} == {1}


def test_a_budget_that_does_not_reach_is_refused_before_anything_is_sent(gemini, sequences, predictions, tmp_path):
    with pytest.raises(SettingsError, match=r"budget_usd is 0.0001; it must be 0.0\d+ or more"):
        run(tmp_path, "out", budget_usd=0.0001)
    assert not gemini.calls


def test_a_dry_run_writes_requests_that_say_nothing_of_the_run_and_sends_nothing(
    gemini, sequences, predictions, tmp_path
):
    requests = requests_of(tmp_path, control=0.5)
    assert len(requests) == N + N / 2
    assert len({json.dumps(list(request["request"])) for request in requests}) == 1
    said = json.dumps([request["request"] for request in requests])
    assert not re.search("foreign|fine-tuned|zero-shot|predictions.parquet|adapter", said)
    assert sorted(path.name for path in (tmp_path / "dry").iterdir()) == ["requests.jsonl.gz"]
    assert not gemini.calls


def test_a_label_takes_the_place_of_the_panel_and_its_writer_is_named(gemini, sequences, predictions, tmp_path, caplog):
    labels = [{**label(key, f"LINE {key[4:]}"), "labeller": "gemini-batch", "model": MODEL} for key in IDS[:-1]]
    labels.append(label(IDS[-1], None, state="blocked") | {"labeller": "gemini-batch", "model": MODEL})
    path = write(tmp_path, "labels", labels)
    metrics, rows = run(tmp_path, "out", labels=path, control=0)
    assert (len(rows), metrics["predictions_without_label"]) == (N - 1, 1)
    assert {(row["against"], row["grades"][0]["grade"]) for row in rows} == {("label", 5)}
    about = json.loads((tmp_path / "out" / "judge.json").read_text())
    assert about["labels"] == [{"paradigm": "pred", "labeller": "gemini-batch", "model": MODEL}]
    assert about["model"] == MODEL
    assert f"{MODEL} also wrote the labels" in caplog.text
    said = json.dumps(json.loads((tmp_path / "out" / "request.json").read_text()))
    assert "2_4.jpg" in said
    assert "2_5.jpg" not in said, "the panel itself was shown"


def test_a_prediction_without_a_word_gets_the_lowest_grades_and_is_not_paid_for(gemini, sequences, tmp_path):
    write(tmp_path, "predictions", [prediction(key, "" if key == IDS[0] else "LINE 9") for key in IDS])
    metrics, rows = run(tmp_path, "out", control=0)
    assert (rows[0]["state"], rows[0]["cost_usd"]) == ("unasked", None)
    assert {grade["grade"] for grade in rows[0]["grades"]} == {1}
    assert metrics["judgements_unasked"] == 1
    assert n_paid(gemini) == N - 1


def test_a_text_that_all_sequences_share_is_judged_and_paid_once_for_each(gemini, sequences, tmp_path):
    write(tmp_path, "predictions", [prediction(key, "They talk.") for key in IDS])
    metrics, rows = run(tmp_path, "out", control=1.0)
    assert n_paid(gemini) == metrics["estimate/requests"] == N
    assert sum(row["cost_usd"] for row in rows) == pytest.approx(metrics["cost_usd"])
    assert metrics["lift/judge/scene"] == 0


def test_a_judge_that_cannot_tell_is_exposed(gemini, sequences, predictions, tmp_path, caplog):
    gemini._model = lambda body: json.dumps({RATIONALE: "Lovely.", **dict.fromkeys(NAMES, 5)})
    metrics, _ = run(tmp_path, "out")
    assert (metrics["eval/judge/scene"], metrics["lift/judge/scene"], metrics["ci_low/lift/judge/scene"]) == (5, 0, 0)
    assert "scene: predictions get 0.00 more than those of other books" in caplog.text


def test_one_book_has_neither_control_nor_intervals(gemini, predictions, tmp_path):
    write_sequences(tmp_path, N)
    metrics, rows = run(tmp_path, "out")
    assert (len(rows), metrics["n_control"], metrics["eval/judge/scene"]) == (N, 0, 5)
    assert not [name for name in metrics if name.startswith(("floor/", "lift/", "ci_"))]


def test_a_larger_limit_keeps_what_a_smaller_one_paid_for(gemini, sequences, predictions, tmp_path):
    _, few = run(tmp_path, "few", limit=3, control=0)
    _, more = run(tmp_path, "more", limit=6, control=0)
    assert (len(few), len(more)) == (3, 6)
    assert {row["sequence_id"] for row in few} < {row["sequence_id"] for row in more}
    assert n_paid(gemini) == 6


def test_a_request_can_be_put_to_an_openai_server_with_the_schema_strict(sequences, predictions, tmp_path):
    (body,) = (request["request"] for request in requests_of(tmp_path, control=0, limit=1))
    inline = [part if "text" in part else {"inlineData": {"mimeType": "image/jpeg", "data": ""}}
              for part in body["contents"][0]["parts"]]  # fmt: skip
    chat = to_chat({**body, "contents": [{"parts": inline}]})
    schema = chat["response_format"]["json_schema"]
    assert schema["strict"]
    assert schema["schema"]["required"] == [RATIONALE, *NAMES]
    assert not schema["schema"]["additionalProperties"]


def test_nothing_to_judge_and_panels_without_pictures_are_refused_by_name(sequences, tmp_path):
    empty = write(tmp_path, "predictions", [prediction(key, " ") for key in IDS], "empty")
    with pytest.raises(DataError, match=r"empty\.parquet: holds no prediction with a word"):
        run(tmp_path, "a", predictions=empty)
    rows = read_table(sequences, "sequences").to_pylist()
    rows[0]["target"]["image"] = None
    blank = write(tmp_path, "sequences", rows, "blank")
    with pytest.raises(DataError, match=rf"blank\.parquet: sequence {IDS[0]}: panel {IDS[0]} has no picture"):
        run(tmp_path, "b", sequences=blank, predictions=write(tmp_path, "predictions", [prediction(IDS[0], "x")]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"control": 1.5}, "control is 1.5; it must be from 0 to 1"),
        ({"judge": "world"}, "judge is 'world'; it must be one of gemini-batch, gemini, openai"),
        ({"judge": "openai"}, "model is ''; it must be the name under which the server knows its model"),
        ({"resamples": 10}, "resamples is 10; it must be 100 or more"),
        ({"limit": -1}, "limit is -1; it must be 0 or more"),
    ],
)
def test_settings_that_will_not_do_are_refused(settings, message):
    with pytest.raises(SettingsError) as error:
        JudgeSettings(**settings)
    assert message in str(error.value)
