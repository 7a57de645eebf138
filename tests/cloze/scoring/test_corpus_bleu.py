"""sacreBLEU's values, of a corpus and of its sentences, from counts of each row."""

import json
import math

import numpy as np
import pytest
import sacrebleu
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloze.scoring.corpus_bleu import N_COUNTS, corpus_bleu, corpus_bleus, counts, sentence_scores
from cloze.scoring.metrics import aggregate, signatures, text_scores

TEXT = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(["a", "The", "cat,", "sat.", "né"])).map(" ".join))
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)


def oracle(pairs):
    predictions, references = zip(*pairs, strict=True)
    return sacrebleu.corpus_bleu(list(predictions), [list(references)]).score / 100


@settings(deadline=None, max_examples=150)
@given(PAIRS)
@example([("a b c d e", "a b c d e"), ("", "x")])
def test_a_corpus_is_what_sacrebleu_says(pairs):
    assert corpus_bleu(counts(pairs)) == oracle(pairs)


@settings(deadline=None, max_examples=100)
@given(PAIRS)
def test_sentences_are_what_sacrebleu_says(pairs):
    expected = [sacrebleu.sentence_bleu(prediction, [reference]).score / 100 for prediction, reference in pairs]
    np.testing.assert_array_equal(sentence_scores(counts(pairs)), expected)


@settings(deadline=None, max_examples=150)
@given(PAIRS)
@example([("a b c", "a b c")])
def test_samples_of_rows_have_the_value_of_those_rows(pairs):
    rows = counts(pairs)
    found = corpus_bleus(rows.mean(axis=0, keepdims=True), len(rows))
    np.testing.assert_allclose(found, [oracle(pairs)], rtol=1e-9)


def test_unknown_counts_have_no_value():
    assert np.isnan(corpus_bleus(np.full((2, N_COUNTS), np.nan), 3)).all()


def test_real_predictions_score_what_sacrebleu_says(real_data):
    lines = (real_data / "predictions" / "original_study.jsonl").read_text().splitlines()
    texts = [(row["prediction"], row["reference"]) for row in map(json.loads, lines)]
    predictions, references = (list(column) for column in zip(*texts, strict=True))
    scores = text_scores(predictions, references, ["sacrebleu", "sacrebleu_sentence"])
    known = [pair for pair, score in zip(texts, scores["sacrebleu_sentence"], strict=True) if not math.isnan(score)]
    assert 100 < len(known) < len(texts)
    assert aggregate("sacrebleu", scores["sacrebleu"]) == oracle(known)
    assert aggregate("sacrebleu_sentence", scores["sacrebleu_sentence"]) == pytest.approx(
        np.mean([sacrebleu.sentence_bleu(prediction, [reference]).score / 100 for prediction, reference in known])
    )


def test_the_signatures_are_sacrebleus_own():
    found = signatures(["sacrebleu", "sacrebleu_sentence"])
    own = f"nrefs:1|case:mixed|eff:{{}}|tok:13a|smooth:exp|version:{sacrebleu.__version__}"
    assert found["sacrebleu"] == f"sacrebleu|corpus|0 to 1|{own.format('no')}"
    assert found["sacrebleu_sentence"] == f"sacrebleu_sentence|sentence|0 to 1|mean|{own.format('yes')}"
