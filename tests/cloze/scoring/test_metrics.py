"""Metrics equal the packages that define them, and the values published with the real predictions."""

import json
import math
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score.rouge_scorer import RougeScorer

from cloze.errors import SettingsError
from cloze.scoring.bleu import NLTK, sentence_bleus
from cloze.scoring.metrics import DEFAULT, ROUGE, chosen_metrics, has_words, signatures, text_scores

WORDS = st.lists(
    st.sampled_from(["The", "cat's", "running", "RUNS", "!", "né", "3", "-", "flies", "ﬁre", "İ"]), max_size=9
)


def real_rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "predictions" / "original_study.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_published_values_come_out_to_the_last_digit(real_data):
    reported = json.loads((real_data / "predictions" / "reported.json").read_text())["zs_cloze_parsed_100"]
    rows = [row for row in real_rows(real_data) if row["in_reported_scope"]]
    scores = text_scores([row["prediction"] for row in rows], [row["reference"] for row in rows])
    assert len(rows) == reported["num_evaluated"]
    assert {metric: float(np.mean(scores[metric])) for metric in DEFAULT} == {m: reported[m] for m in DEFAULT}


def test_every_real_row_scores_what_rouge_score_and_nltk_say(real_data):
    rows = [row for row in real_rows(real_data) if has_words(row["reference"])]
    scores = text_scores([row["prediction"] for row in rows], [row["reference"] for row in rows])
    rouge, smooth = RougeScorer(list(ROUGE), use_stemmer=True), SmoothingFunction().method1
    for i, row in enumerate(rows):
        oracle = rouge.score(row["reference"], row["prediction"])
        words, wanted = row["prediction"].lower().split(), row["reference"].lower().split()
        expected = [oracle[metric].fmeasure for metric in ROUGE]
        expected.append(sentence_bleu([wanted], words, smoothing_function=smooth))
        assert [scores[metric][i] for metric in DEFAULT] == expected


def test_every_real_prediction_has_a_score_unless_its_reference_has_no_words(real_data):
    rows = real_rows(real_data)
    scores = text_scores([row["prediction"] for row in rows], [row["reference"] for row in rows])
    wordless = [not any(c.isascii() and c.isalnum() for c in row["reference"]) for row in rows]
    assert 0 < sum(wordless) < len(rows)
    for metric in DEFAULT:
        assert np.isnan(scores[metric]).tolist() == wordless


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(), WORDS.map(" ".join)), st.one_of(st.text(), WORDS.map(" ".join)))
@example("", "a word")
@example("\x00", "ſ 1")
def test_rouge_is_what_rouge_score_says(prediction, reference):
    oracle = RougeScorer(list(ROUGE), use_stemmer=True).score(reference, prediction)
    ours = text_scores([prediction], [reference])
    for metric in ROUGE:
        expected = oracle[metric].fmeasure if has_words(reference) else math.nan
        np.testing.assert_array_equal(ours[metric], [expected])


@settings(deadline=None, max_examples=300)
@given(st.one_of(st.text(), WORDS.map(" ".join)), st.one_of(st.text(), WORDS.map(" ".join)))
@example("the the the the", "the")
@example("a b c d e", "a b c d e")
def test_bleu_is_what_nltk_says(prediction, reference):
    smooth = SmoothingFunction().method1
    oracle = sentence_bleu([reference.lower().split()], prediction.lower().split(), smoothing_function=smooth)
    expected = oracle if has_words(reference) else math.nan
    np.testing.assert_array_equal(text_scores([prediction], [reference])["bleu"], [expected])


def test_processes_that_share_the_work_change_no_value():
    pairs = [(f"a dog {i % 7} runs", f"a {i % 5} dog runs") for i in range(10_001)]
    assert sentence_bleus(pairs, processes=2) == sentence_bleus(pairs)


def test_the_nltk_that_bleu_was_compared_with_is_the_one_named():
    assert version("nltk") == NLTK


def test_an_empty_prediction_scores_0_and_an_empty_reference_nothing():
    scores = text_scores(["", "a dog runs", ""], ["a dog runs", " ! ", ""])
    for metric in DEFAULT:
        np.testing.assert_array_equal(scores[metric], [0, math.nan, math.nan])


def test_texts_of_unequal_number_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        text_scores(["one", "two"], ["one"])


@pytest.mark.parametrize("words", ["", "rouge1,", "rouge1,rouge1", "ROUGE1", "rouge1;bleu"])
def test_a_list_that_is_not_of_metrics_is_refused(words):
    with pytest.raises(SettingsError, match=r"it must be a comma-separated list of rouge1, .*, each once"):
        chosen_metrics(words)


def test_metrics_come_in_one_order_and_only_those_that_were_asked_for():
    chosen = chosen_metrics("bleu, rouge2")
    assert chosen == ("rouge2", "bleu")
    assert tuple(text_scores(["a"], ["a"], chosen)) == chosen


def test_each_metric_says_what_made_it():
    assert set(signatures()) == set(DEFAULT)
    assert signatures()["rougeL"].startswith("rougeL|f1|stemmer:porter|mean|rouge-score-rs:")
