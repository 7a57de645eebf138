"""What a text is like in itself, on texts short enough to count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.labels.prompts import instructions
from cloze.scoring.measures import MEASURES, is_placeholder, is_refusal, longest_copy, measure, runs_of, words_of

WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


def one(text, lettering=(), prompt=""):
    return {name: values[0] for name, values in measure([text], [runs_of(lettering)], prompt).items()}


def test_repetition_is_the_share_of_4_grams_that_were_there_before():
    assert one("a b c d e f")["rep4"] == 0
    assert one("a b c d a b c d")["rep4"] == pytest.approx(1 / 5)
    assert one("will " * 100)["rep4"] == pytest.approx(96 / 97)
    assert np.isnan(one("a b c")["rep4"])


def test_copies_are_whole_runs_of_words_of_one_panel():
    found = one("Then: who are you now, stranger", ["WHO ARE YOU", "NOW, STRANGER"])
    assert (found["copied_span"], found["copy4"]) == (3, 0)
    found = one("Then: who are you now, stranger", ["WHO ARE YOU NOW?"])
    assert (found["copied_span"], found["copy4"]) == (4, pytest.approx(1 / 3))
    assert one("art", ["PARTLY"])["copied_span"] == 0
    assert one("you now", ["WHO ARE YOU", "NOW, STRANGER"])["copied_span"] == 1


@given(WORDS, st.lists(WORDS, max_size=3))
def test_the_longest_copy_is_what_trying_all_runs_finds(words, panels):
    runs = [words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1)]
    there = [run for run in runs if any(run == p[k : k + len(run)] for p in panels for k in range(len(p)))]
    assert longest_copy(words, runs_of(list(map(" ".join, panels)))) == max(map(len, there), default=0)


def test_a_name_without_support_stands_in_no_panel():
    assert one("There Ann's dog meets Bob.", ["ANN!"])["unsupported_names"] == 1
    assert one("There Ann's dog meets Bob.", ["ANN'S AND BOB’S!"])["unsupported_names"] == 0
    assert np.isnan(one("ANN MEETS BOB", ["ANN!"])["unsupported_names"])  # capitals tell nothing here


def test_texts_that_open_with_the_commonest_four_words_open_alike():
    texts = ["In the next panel, Ann", "In the next panel: Bob", "in the NEXT panel", "Bob", ""]
    found = measure(texts, [""] * 5)["same_opening"]
    assert np.array_equal(found, [1, 1, 1, 0, np.nan], equal_nan=True)


def test_a_prompt_that_comes_back_is_an_echo_and_lettering_is_none():
    prompt = instructions(5)
    assert one(prompt, [], prompt)["prompt_echo"] == 1
    assert one("In the next panel, Panel 6, Ann opens the door and waves to Bob.", [], prompt)["prompt_echo"] < 0.5
    assert np.isnan(one(prompt)["prompt_echo"])  # nobody knows the prompt


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm sorry, but I can't assist with that.", True),
        ("I cannot see any panels.", True),
        ("Unfortunately, I am not able to see it.", True),
        ("As an AI language model, I do not predict.", True),
        ('Ann says, "I cannot go. I\'m sorry."', False),
        ("'I cannot go,' says Ann.", False),
        ("As an artist, Ann paints.", False),
        ("I can hear the sea.", False),
        ("", False),
    ],
)
def test_a_refusal_is_the_writers_own(text, expected):
    assert is_refusal(text) is expected


@pytest.mark.parametrize(("text", "expected"), [("None", True), (" null.\n", True), ("N/A", True), ("None left", False),
                                                ("[No text]", True), ("", False), ("Nona", False)])  # fmt: skip
def test_a_word_that_programs_write_for_nothing_is_no_text(text, expected):
    assert is_placeholder(text) is expected


@given(st.lists(st.tuples(st.text(max_size=40), st.lists(st.text(max_size=20), max_size=3)), max_size=4))
def test_every_measure_has_a_value_for_any_text(rows):
    found = measure([text for text, _ in rows], [runs_of(panels) for _, panels in rows], "some words to be told")
    assert list(found) == list(MEASURES)
    for name, values in found.items():
        assert values.shape == (len(rows),)
        assert not (values < 0).any()
        assert name in ("words", "copied_span", "unsupported_names") or not (values > 1).any()
    assert np.array_equal(found["words"], [len(words_of(text)) for text, _ in rows])


def test_apostrophes_belong_to_words_however_they_are_written():
    assert words_of("Don’t DON'T, 'tis") == ["don't", "don't", "tis"]
