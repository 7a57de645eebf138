"""What lines of Gemini's batches mean."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.labels.answers import Answer, State
from cloze.labels.gemini_answers import classify, read_answers

NAMES = st.sampled_from(
    [
        "response",
        "error",
        "status",
        "request",
        "code",
        "message",
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "finishReason",
        "promptFeedback",
        "blockReason",
        "usageMetadata",
        "promptTokenCount",
        "modelVersion",
    ]
)
WORDS = st.text(st.characters(exclude_categories=())) | st.sampled_from(["STOP", "SAFETY", "MAX_TOKENS"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=20,
)


def line(*parts: Any, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    """A line with one candidate; a part is a text or a whole part."""
    found = [{"text": part} if isinstance(part, str) else part for part in parts]
    candidate = {"content": {"role": "model", "parts": found}, "finishReason": finish}
    return {"response": {"candidates": [candidate], **more}}


def verdict(line: dict[str, Any]) -> tuple[State, str | None, bool]:
    answer = classify("a", line)
    return answer.state, answer.reason, answer.is_final


def test_all_parts_but_thoughts_are_the_text_and_white_space_around_it_is_not():
    thought = {"text": "The hat falls, so", "thought": True}
    answer = classify("a", line(thought, " The hat ", "falls.\n", {"functionCall": {}}))
    assert (answer.state, answer.text, answer.reason, answer.is_final) == (State.OK, "The hat falls.", None, True)


def test_tokens_are_counted_as_they_are_billed_and_the_model_is_told():
    usage = {"promptTokenCount": 1700, "cachedContentTokenCount": 1024, "candidatesTokenCount": 90}
    usage |= {"thoughtsTokenCount": 400, "totalTokenCount": 2190}
    answer = classify("a", line("x", usageMetadata=usage, modelVersion="gemini-3.1-flash-lite-001"))
    assert (answer.input_tokens, answer.cached_tokens, answer.output_tokens) == (1700, 1024, 490)
    assert answer.model == "gemini-3.1-flash-lite-001"


def test_tokens_are_counted_whatever_became_of_the_answer():
    usage = {"usageMetadata": {"promptTokenCount": 5, "thoughtsTokenCount": 7}}
    for spoiled in (line(finish="SAFETY", **usage), line("x", finish="MAX_TOKENS", **usage), {"response": usage}):
        assert (classify("a", spoiled).input_tokens, classify("a", spoiled).output_tokens) == (5, 7)


@pytest.mark.parametrize("finish", ["SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "IMAGE_SAFETY"])
def test_a_blocked_answer_is_final_even_if_some_text_came(finish: str):
    assert verdict(line("half", finish=finish)) == (State.BLOCKED, finish, True)
    assert classify("a", line("half", finish=finish)).text is None


def test_a_blocked_prompt_says_why():
    feedback = {"blockReason": "OTHER", "blockReasonMessage": "no"}
    assert verdict({"response": {"promptFeedback": feedback}}) == (State.BLOCKED, "prompt: OTHER: no", True)


def test_feedback_without_a_block_changes_nothing():
    ratings = {"safetyRatings": [], "blockReason": "BLOCK_REASON_UNSPECIFIED"}
    assert classify("a", line("x", promptFeedback=ratings)).state is State.OK


def test_recitation_is_a_block_that_another_seed_may_get_past():
    assert verdict(line(finish="RECITATION")) == (State.BLOCKED, "RECITATION", False)


def test_what_was_cut_short_is_no_label():
    assert verdict(line('{"dialogue": "a', finish="MAX_TOKENS")) == (State.TRUNCATED, "MAX_TOKENS", False)


@pytest.mark.parametrize(
    ("empty", "reason"),
    [
        ({"response": {}}, "no candidates"),
        ({"response": {"candidates": []}}, "no candidates"),
        ({"response": {"candidates": [{"finishReason": "STOP"}]}}, "no text"),
        (line(), "no text"),
        (line(" \n"), "no text"),
        (line({"text": "hm", "thought": True}), "no text"),
        (line("x", finish=None), "no finishReason"),
        (line("x", finish="OTHER"), "OTHER"),
        (line("x", finish="MALFORMED_RESPONSE"), "MALFORMED_RESPONSE"),
    ],
)
def test_an_answer_without_a_whole_text_is_empty_and_asked_again(empty: dict[str, Any], reason: str):
    assert verdict(empty) == (State.EMPTY, reason, False)


@pytest.mark.parametrize("code", [3, 5, 7])
@pytest.mark.parametrize("name", ["error", "status"])
def test_an_error_that_blames_the_request_is_final(code: int, name: str):
    assert verdict({name: {"code": code, "message": "bad"}}) == (State.FAILED, f"code {code}: bad", True)


@pytest.mark.parametrize("code", [1, 4, 8, 13, 14, 429, 500])
def test_any_other_error_leaves_the_answer_missing(code: int):
    assert verdict({"error": {"code": code, "message": "cancelled"}}) == (
        State.MISSING,
        f"code {code}: cancelled",
        False,
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (
            'Bad Request: {"error": {"code": 400, "message": "no such picture", "status": "INVALID_ARGUMENT"}}',
            (State.FAILED, "INVALID_ARGUMENT: no such picture", True),
        ),
        (
            'Too Many Requests: {"error": {"code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED"}}',
            (State.MISSING, "RESOURCE_EXHAUSTED: busy", False),
        ),
        ("Internal error {cut", (State.MISSING, "code None: Internal error {cut", False)),
    ],
)
def test_the_words_of_vertex_are_understood(status: str, expected: tuple[State, str, bool]):
    assert verdict({"status": status, "processed_time": "2026", "response": {}}) == expected


def test_an_empty_status_of_vertex_is_a_good_line():
    assert classify("a", {"status": "", "request": {}, **line("x")}).text == "x"


def test_a_line_that_says_nothing_is_missing():
    assert verdict({"key": "a"}) == (State.MISSING, "neither a response nor an error", False)


def test_the_raw_answer_is_kept_without_the_request_that_vertex_echoes():
    found = {"key": "a", "status": "", "request": {"contents": ["pictures" * 1000]}, **line("é")}
    assert json.loads(classify("a", found).raw) == {"key": "a", "status": "", **line("é")}


def test_the_raw_answer_of_a_file_is_its_line(tmp_path: Path):
    raw = json.dumps({"key": "a", **line("é\u2028")}, ensure_ascii=False)
    assert [answer.raw for answer in read(tmp_path, raw.encode() + b"\r\n")] == [raw]
    echoed = json.dumps({"key": "a", "request": {"contents": []}, **line("é")})
    assert "contents" not in read(tmp_path, echoed.encode())[0].raw


def test_text_that_no_database_could_take_is_cleaned():
    answer = classify("a\ud800", line("x\udc00y", modelVersion="m\ud800"))
    assert (answer.key, answer.text, answer.model) == ("a?", "x?y", "m?")
    assert "".join((answer.key, str(answer.text), answer.raw)).encode()


@given(st.dictionaries(NAMES, JSON, max_size=5))
def test_no_line_whatever_breaks_it_and_only_ok_has_text(strange: dict[str, Any]):
    answer = classify("a", strange)
    assert (answer.text is not None) == (answer.state is State.OK) == (answer.reason is None)
    assert min(answer.input_tokens, answer.cached_tokens, answer.output_tokens) >= 0
    assert f"{answer.text}{answer.reason}{answer.model}{answer.raw}".encode()


def read(folder: Path, content: bytes) -> list[Answer]:
    path = folder / "answers.jsonl"
    path.write_bytes(content)
    return list(read_answers(path))


def test_lines_end_at_a_newline_only(tmp_path: Path):
    raw = json.dumps({"key": "k", **line("a\u2028b\u0085c")}, ensure_ascii=False)
    assert len(raw.splitlines()) == 3
    assert [answer.text for answer in read(tmp_path, f"{raw}\n\n{raw}".encode())] == ["a\u2028b\u0085c"] * 2


@pytest.mark.parametrize("bad", [b'{"key": "a", "resp', b"[1]", b"\xff\xfe{}", b'{"response": {}}', b'{"key": 7}'])
def test_a_line_that_cannot_be_read_is_skipped_with_a_warning_that_names_it(
    tmp_path: Path, bad: bytes, caplog: pytest.LogCaptureFixture
):
    good = json.dumps({"key": "b", **line("x")}).encode()
    assert [answer.key for answer in read(tmp_path, good + b"\n" + bad + b"\n" + good)] == ["b", "b"]
    assert "answers.jsonl: line 2" in caplog.text
