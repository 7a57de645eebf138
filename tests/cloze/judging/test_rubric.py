"""Rubrics as files, and what counts as a judgement by one."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.errors import DataError
from cloze.judging.rubric import DEFAULT, RATIONALE, parse_judgement, read_rubric
from cloze.labels.answers import Answer, State

RUBRIC = read_rubric(DEFAULT)
NAMES = [criterion.name for criterion in RUBRIC.criteria]
GOOD = {RATIONALE: "It fits.", **dict.fromkeys(NAMES, 3)}


def parsed(said: object) -> Answer:
    return parse_judgement(Answer("k", State.OK, json.dumps(said)), RUBRIC)


def read(tmp_path, text: str):
    (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
    return read_rubric(tmp_path / "r.yaml")


def test_the_default_grades_five_things_from_1_to_5():
    assert NAMES == ["continuity", "scene", "characters", "action", "dialogue"]
    assert {(criterion.lowest, criterion.highest) for criterion in RUBRIC.criteria} == {(1, 5)}


def test_the_digest_changes_with_a_word_a_grade_or_an_order_and_not_with_a_comment(tmp_path):
    text = DEFAULT.read_text(encoding="utf-8")
    first, _, rest = text.partition("\nscene:")
    assert read(tmp_path, "# mine\n" + text).digest == RUBRIC.digest
    changed = [
        text.replace("Another place", "A wrong place"),
        text.replace("    1: ", "    0: ").replace("    2:", "    1:"),
    ]
    with pytest.raises(DataError, match="gap"):
        read(tmp_path, changed.pop())
    changed.append(f"scene:{rest}\n{first}")
    assert len({RUBRIC.digest, *(read(tmp_path, other).digest for other in changed)}) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "holds no criteria"),
        ("- a", "holds no criteria"),
        ("a: [", "cannot be read as a rubric"),
        ("a: {question: Q, anchors: {1: x, 2: y}}\na: {question: Q, anchors: {1: x, 2: y}}", "'a' is there twice"),
        ("a: {question: Q, anchors: {1: x, 1: y}}", "1 is there twice"),
        ("rationale: {question: Q, anchors: {1: x, 2: y}}", "criterion rationale: a name"),
        ("My thing: {question: Q, anchors: {1: x, 2: y}}", "criterion My thing: a name of small letters"),
        ("a: {question: Q}", "criterion a: question and anchors were expected"),
        ("a: {question: 5, anchors: {1: x, 2: y}}", "its question is no text"),
        ("a: {question: Q, anchors: {1: x}}", "its anchors are no mapping of two or more grades"),
        ("a: {question: Q, anchors: {low: x, high: y}}", "its grades are low, high; whole numbers"),
        ("a: {question: Q, anchors: {yes: x, no: y}}", "its grades are True, False; whole numbers"),
        ("a: {question: Q, anchors: {1: x, 3: y}}", "its grades are 1, 3; there is a gap"),
    ],
)
def test_a_file_that_is_no_rubric_is_refused_by_name(tmp_path, text, problem):
    with pytest.raises(DataError, match=problem) as error:
        read(tmp_path, text)
    assert "r.yaml" in str(error.value)


def test_a_rubric_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.yaml: cannot be read as a rubric"):
        read_rubric(tmp_path / "nowhere.yaml")


def test_a_judgement_comes_out_in_the_rubrics_order_and_on_one_line():
    said = dict.fromkeys(reversed(NAMES), 5) | {RATIONALE: "One.\n Two."}
    answer = parsed(said)
    assert list(json.loads(answer.text or "").items()) == [(RATIONALE, "One. Two."), *((name, 5) for name in NAMES)]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([], "a JSON object was expected, not list"),
        ({RATIONALE: "x"}, r"fields \['rationale'\]"),
        ({**GOOD, "style": 3}, "'style'"),
        ({**GOOD, "scene": 0}, "scene is 0; a whole number from 1 to 5"),
        ({**GOOD, "scene": 6}, "scene is 6"),
        ({**GOOD, "scene": 3.5}, "scene is 3.5"),
        ({**GOOD, "scene": True}, "scene is True"),
        ({**GOOD, "scene": "5"}, "scene is '5'"),
        ({**GOOD, "scene": None}, "scene is None"),
        ({**GOOD, RATIONALE: " "}, "rationale is no text"),
    ],
)
def test_anything_else_is_unparsable_with_the_reason(said, reason):
    answer = parsed(said)
    assert (answer.state, answer.text) == (State.UNPARSABLE, None)
    assert re.search(reason, answer.reason or "")


@given(st.text() | st.sampled_from(["{", "[" * 100_000, json.dumps(GOOD) + "x"]))
def test_no_answer_is_an_error(text):
    answer = parse_judgement(Answer("k", State.OK, text), RUBRIC)
    assert answer.state is State.UNPARSABLE
    assert answer.reason


@given(st.fixed_dictionaries({name: st.integers(-1, 7) for name in NAMES}))
def test_only_grades_of_the_rubric_pass(grades):
    is_good = all(1 <= grade <= 5 for grade in grades.values())
    assert (parsed({RATIONALE: "x", **grades}).state is State.OK) == is_good
