"""Exact-fact recall: whole words, by where a fact can be seen."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloze.errors import DataError
from cloze.scoring.facts import METRICS, Fact, fact_scores, is_recalled, read_facts
from tests.cloze.scoring.tiny import fact, write

WORDS = st.lists(st.from_regex(r"[a-zA-Zé0-9]{1,8}", fullmatch=True), min_size=1, max_size=3).map(" ".join)


@pytest.mark.parametrize(
    ("value", "prediction", "expected"),
    [
        ("rain", "It will Rain!", True),
        ("rain", "The train leaves.", False),
        ("rain", "It rained.", False),
        ("red hat", "A RED\nhat, of course", True),
        ("red hat", "a red, tall hat", False),
        ("tool-box", "the tool box", True),
        ("Zoë", "ZOË waves", True),
        ("rain", "", False),
    ],
)
def test_a_fact_is_recalled_if_its_words_stand_in_the_prediction(value, prediction, expected):
    assert is_recalled(Fact("thing", value, "both"), prediction) is expected


@given(WORDS, st.text(), st.text())
def test_a_value_between_other_words_is_always_found(value, before, after):
    assert is_recalled(Fact("thing", value, "both"), f"{before} {value.upper()}. {after}")


def test_recall_is_told_apart_by_where_a_fact_can_be_seen():
    known = [Fact("a", "rain", "picture"), Fact("b", "dog", "picture"), Fact("c", "Ann", "both")]
    scores = fact_scores(["Ann in the rain", "nothing"], [known, []])
    assert scores["recall"][0] == pytest.approx(2 / 3)
    assert (scores["recall_picture"][0], scores["recall_both"][0]) == (0.5, 1.0)
    assert math.isnan(scores["recall_lettering"][0])
    assert all(np.isnan(scores[metric][1]) for metric in METRICS)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (fact("1/1_1", "rain", "smell"), r"row 1: seen_in is 'smell'; it must be one of picture, lettering, both"),
        (fact("1/1_1", "!?", "both"), r"row 1: value '!\?' has no word in it"),
        (fact("1/1_1", "dog", "both"), r"row 1: the same fact is there twice \(panel 1/1_1, fact thing\)"),
    ],
)
def test_a_bad_fact_is_named_by_its_row(tmp_path, bad, message):
    path = write(tmp_path, "facts", [fact("1/1_1", "dog", "both"), bad])
    with pytest.raises(DataError, match=message):
        read_facts(path)
