import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloze.model.answers import Answer, AnswerStore, question_key

ANSWER = Answer("Pip runs.", "stop", 120, 4, 0.5)
WHAT = {"base": "sample", "decoding": {"strategy": "greedy"}}


def test_an_answer_is_found_again_by_whoever_asks_the_same_of_the_same(tmp_path):
    with AnswerStore(tmp_path, WHAT) as store:
        store.add({"a": ANSWER})
        assert store.get("a") == ANSWER
    with AnswerStore(tmp_path, WHAT) as again, AnswerStore(tmp_path, {**WHAT, "base": "other"}) as other:
        assert again.get("a") == ANSWER
        assert again.get("b") is None
        assert other.get("a") is None


def test_several_processes_write_beside_each_other(tmp_path):
    with AnswerStore(tmp_path, WHAT) as one, AnswerStore(tmp_path, WHAT) as two:
        one.add({"a": ANSWER})
        two.add({"b": ANSWER})
    assert len(list(one.folder.glob("*.jsonl"))) == 2
    with AnswerStore(tmp_path, WHAT) as store:
        assert store.get("a") == store.get("b") == ANSWER


@given(cut=st.integers(0, 10_000))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_whole_before_a_kill_is_read_whatever_was_cut(tmp_path_factory, cut):
    root = tmp_path_factory.mktemp("store")
    answers = {key: replace(ANSWER, text=key * 9) for key in "abc"}
    with AnswerStore(root, WHAT) as store:
        for key, answer in answers.items():
            store.add({key: answer})
    (file,) = store.folder.glob("*.jsonl")
    content = file.read_bytes()
    file.write_bytes(content[:cut])
    n_whole = content[:cut].count(b"\n")
    with AnswerStore(root, WHAT) as store:
        assert [store.get(key) for key in "abc"] == [*answers.values()][:n_whole] + [None] * (3 - n_whole)
        store.add({"d": ANSWER})
    with AnswerStore(root, WHAT) as store:
        assert store.get("d") == ANSWER


def test_the_folder_says_what_answered(tmp_path):
    with AnswerStore(tmp_path, WHAT) as store:
        assert json.loads((store.folder / "what.json").read_text())["base"] == "sample"


@pytest.mark.parametrize("other", [("words", ["p", "q"]), ("other words", ["p"]), ("words", ["q"]), ("words", [])])
def test_another_question_has_another_key(other):
    assert question_key("words", ["p"]) == question_key("words", iter(["p"]))
    assert question_key(*other) != question_key("words", ["p"])
