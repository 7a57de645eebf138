"""Shared rare words: the textbook's values, whatever the order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from cloze.closed_tasks.items import TEXT_CLOZE, read_fold
from cloze.closed_tasks.overlap import Idf, overlap_scores, words
from tests.cloze.closed_tasks.folds import text_row, write_fold

VOCABULARY = ["moe", "runs", "to", "the", "moat", "again"]
TEXTS = st.lists(st.lists(st.sampled_from(VOCABULARY)).map(" ".join), min_size=2, max_size=6)


@given(TEXTS)
def test_cosines_are_those_of_scikit_learn(texts):
    vectorizer = TfidfVectorizer(binary=True, vocabulary=VOCABULARY)
    vectors = vectorizer.fit_transform(texts)
    idf = Idf([words(text) for text in texts])
    expected = (vectors @ vectors.T).toarray()
    for i, one in enumerate(texts):
        for j, other in enumerate(texts):
            assert idf.cosine(words(one), words(other)) == pytest.approx(expected[i, j])


def test_the_candidate_that_shares_rare_words_is_best(tmp_path):
    items = read_fold(write_fold(tmp_path / "fold.csv", [text_row()]), TEXT_CLOZE)
    (scores,) = overlap_scores(items, [items[0].context_text, "the weather is the weather", "the end"])
    assert scores[1] > scores[0] == scores[2] == 0


def test_a_shared_rare_word_weighs_more_than_a_shared_common_one():
    idf = Idf([frozenset({"the", "treasure"}), frozenset({"the"}), frozenset({"the"})])
    context = words("The treasure!")
    assert idf.cosine(context, words("treasure box")) > idf.cosine(context, words("the box"))


def test_words_are_letters_and_digits_in_one_case():
    assert words("Don ' t -- ÉTÉ_42 !! 》") == {"don", "t", "été", "42"}


def test_no_words_score_0():
    assert Idf([]).cosine(frozenset(), words("anything")) == 0
