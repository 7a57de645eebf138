"""Intervals by bootstrap over books: known where they can be, and as wide as books differ."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.scoring.intervals import (
    Interval,
    clustered_stderr,
    effective_clusters,
    percentile_interval,
    resampled_means,
)


def interval(scores: Any, books: Any, resamples: int = 2000, seed: int = 0) -> Interval:
    values, clusters = np.array(scores)[:, None], np.array(books)
    means = resampled_means(values, clusters, resamples, seed)
    return percentile_interval(means[:, 0], effective_clusters(values, clusters)[0])


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


def test_unequal_books_count_as_fewer_and_equal_ones_in_full():
    equal, unequal = np.zeros((40, 1)), np.zeros((100, 1))
    assert effective_clusters(equal, np.arange(4).repeat(10)) == pytest.approx([4])
    assert effective_clusters(unequal, np.repeat([1, 2, 3], [98, 1, 1])) == pytest.approx([10000 / (98**2 + 2)])
    assert np.isnan(effective_clusters(np.full((4, 1), np.nan), np.arange(4))).all()


def test_few_books_widen_the_interval_and_many_do_not():
    means = np.random.default_rng(0).normal(size=20_000)
    few, many = percentile_interval(means, 5), percentile_interval(means, 1e6)
    assert many == pytest.approx(np.quantile(means, [0.025, 0.975]), abs=1e-3)
    # As t with 4 degrees of freedom and the standard error with 5 - 1 in its denominator.
    assert few.high / many.high == pytest.approx(np.sqrt(5 / 4) * 2.776 / 1.960, rel=0.05)


@pytest.mark.parametrize(
    ("n_books", "icc", "is_equal"), [(10, 0.2, True), (10, 0.2, False), (20, 0.05, False), (60, 0.5, True)]
)
def test_nominal_95_percent_covers_the_truth_where_books_differ(n_books, icc, is_equal):
    rng = np.random.default_rng(n_books)
    hits, trials = 0, 300
    for trial in range(trials):
        sizes = np.full(n_books, 20) if is_equal else np.ceil(12 * rng.lognormal(0, 1, n_books)).astype(int)
        books = np.arange(n_books).repeat(sizes)
        scores = rng.normal(0, np.sqrt(icc), n_books)[books] + rng.normal(0, np.sqrt(1 - icc), len(books))
        low, high = interval(scores, books, 1000, trial)
        hits += low <= 0 <= high
    # Within 3 standard errors of what docs/scores.md says was measured with many more trials (0.93 to 0.97).
    assert 0.90 <= hits / trials <= 0.99


def test_the_interval_for_independent_rows_would_not_cover():
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(100):
        scores = rng.normal(0, 1, 20).repeat(20) + rng.normal(0, 1, 400)
        low, high = interval(scores, np.arange(400), 500, trial)
        hits += low <= 0 <= high
    assert hits < 60


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="2 rows of values, 3 clusters"):
        resampled_means(np.zeros((2, 1)), np.zeros(3), 10, 0)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4)), min_size=2, max_size=30))
def test_the_clustered_error_is_the_sandwich_estimator_of_a_mean(rows):
    values, books = (np.array(column) for column in zip(*rows, strict=True))
    groups = np.unique(books)
    if len(groups) < 2:
        assert np.isnan(clustered_stderr(values, books))
        return
    # Miller's double sum over pairs of rows of one book, with the correction for few books.
    left = values - values.mean()
    pairs = np.where(books[:, None] == books, np.outer(left, left), 0).sum()
    expected = np.sqrt(max(0, pairs) * len(groups) / (len(groups) - 1)) / len(values)
    assert clustered_stderr(values, books) == pytest.approx(expected, abs=1e-8)


def test_the_clustered_error_of_clusters_of_one_is_the_usual_one():
    values = np.array([0.2, 0.9, 0.4, 0.4])
    assert clustered_stderr(values, np.arange(4)) == pytest.approx(values.std(ddof=1) / 2)
