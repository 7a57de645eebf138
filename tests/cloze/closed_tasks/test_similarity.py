"""The sentence encoder: a cosine for each candidate, whatever its company."""

import numpy as np
import pytest

from cloze.closed_tasks.items import TEXT_CLOZE, read_fold
from cloze.closed_tasks.similarity import Encoder, similarity_scores
from cloze.errors import MissingInputError
from cloze.scoring.encoders import MINILM
from tests.cloze.closed_tasks.folds import CONTEXT, text_row, write_fold


@pytest.fixture(scope="module")
def encode() -> Encoder:
    return Encoder(MINILM, 4)


@pytest.fixture
def items(tmp_path):
    without_words = dict.fromkeys(CONTEXT, "")
    rows = [text_row(), text_row(4) | without_words]
    return read_fold(write_fold(tmp_path / "fold.csv", rows), TEXT_CLOZE)


def test_the_candidate_that_is_about_the_same_is_best(encode, items):
    (scores, _) = similarity_scores(items, encode)
    assert np.argmax(scores) == items[0].answer
    assert all(-1 <= score <= 1 for score in scores)


def test_a_context_without_words_prefers_nothing(encode, items):
    assert similarity_scores(items, encode)[1] == [0, 0, 0]


def test_a_vector_is_the_packages_own_and_does_not_depend_on_its_company(encode):
    texts = ["halt !", "where is the treasure , spirit ?", "halt !", "a"]
    vectors = encode(texts)
    assert (vectors[0] == vectors[2]).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(encode._model.encode(text, normalize_embeddings=True), vector, atol=1e-5)


def test_an_encoder_that_is_not_there_is_named():
    with pytest.raises(MissingInputError, match="encoder nobody/nothing: no such folder"):
        Encoder("nobody/nothing", 4)
