"""Intervals by bootstrap over books: known where they can be, and as wide as books differ."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.scoring.intervals import Interval, percentile_interval, resampled_means


def interval(scores: Any, books: Any, resamples: int = 2000, seed: int = 0) -> Interval:
    return percentile_interval(resampled_means(np.array(scores)[:, None], np.array(books), resamples, seed)[:, 0])


def test_copying_every_row_does_not_make_us_surer():
    scores, books = np.array([0.1, 0.4, 0.9, 0.3]), np.array([1, 2, 3, 4])
    once = interval(scores, books)
    assert interval(scores.repeat(10), books.repeat(10)) == pytest.approx(once)
    assert once.low < scores.mean() < once.high


def test_one_book_leaves_the_interval_unknown():
    assert np.isnan(interval([0.1, 0.9, 0.5], [7, 7, 7])).all()
    assert np.isnan(interval([0.1, 0.9, np.nan], [7, 7, 8])).all()


def test_means_are_those_of_drawing_the_rows_one_by_one():
    rng = np.random.default_rng(1)
    books = rng.integers(0, 6, 50)
    values = np.where(rng.random((50, 2)) < 0.2, np.nan, rng.random((50, 2)))
    means = resampled_means(values, books, 5, seed=3)
    draws = np.random.default_rng(3).multinomial(6, np.full(6, 1 / 6), size=5)
    for mean, draw in zip(means, draws, strict=True):
        rows = np.concatenate([values[books == book] for book in range(6) for _ in range(draw[book])])
        np.testing.assert_allclose(mean, np.nanmean(rows, axis=0))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=2, max_size=30), st.integers(0, 99))
def test_an_interval_lies_within_the_scores(rows, seed):
    scores, books = zip(*rows, strict=True)
    low, high = interval(scores, books, resamples=100, seed=seed)
    if len(set(books)) < 2:
        assert np.isnan([low, high]).all()
    else:
        assert min(scores) - 1e-12 <= low <= high <= max(scores) + 1e-12


def test_many_resamples_are_the_same_as_fewer_and_more():
    values, books = np.arange(12.0)[:, None], np.arange(12) % 4
    assert (resampled_means(values, books, 2500, 5)[:1000] == resampled_means(values, books, 1000, 5)).all()


def test_nominal_95_percent_covers_the_truth_where_books_differ():
    rng = np.random.default_rng(2)
    hits = 0
    for trial in range(300):
        effect = rng.normal(0, 1, 60).repeat(20)  # intra-book correlation 0.5
        low, high = interval(effect + rng.normal(0, 1, 1200), np.arange(60).repeat(20), 400, trial)
        hits += low <= 0 <= high
    assert 0.91 <= hits / 300 <= 0.98


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 rows of values, 3 clusters"):
        resampled_means(np.zeros((2, 1)), np.zeros(3), 10, 0)
