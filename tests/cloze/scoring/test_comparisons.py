"""Paired comparisons: exact where they can be, by book, and corrected for their number."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.scoring.comparisons import holm, paired, sign_flips

PS = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=12)


def p_of(differences: np.ndarray, books: np.ndarray, resamples: int = 2000, seed: int = 0) -> float:
    return float(sign_flips(differences[:, None], books, resamples, seed).p[0])


def test_with_few_books_p_is_that_of_trying_every_flip():
    rng = np.random.default_rng(1)
    books = rng.integers(0, 6, 40)
    differences = rng.normal(0.2, 1, 40)
    sums = np.array([differences[books == book].sum() for book in range(6)])
    by_hand = [abs(np.dot(signs, sums)) >= abs(sums.sum()) - 1e-12 for signs in product((1, -1), repeat=6)]
    assert p_of(differences, books) == np.mean(by_hand)


def test_drawn_flips_come_near_to_all_of_them_and_are_never_0():
    rng = np.random.default_rng(2)
    differences, books = rng.normal(0.25, 1, 130), np.arange(130) % 13
    assert p_of(differences, books, 4000) == pytest.approx(p_of(differences, books, 8000), abs=0.03)
    many = np.arange(200)
    assert p_of(np.ones(200), many, 999) == 1 / 1000


def test_eight_books_that_all_agree_have_the_smallest_p_there_is_whatever_their_rows():
    assert p_of(np.ones(80), np.arange(80) % 8) == 2 / 2**8
    assert p_of(np.ones(800), np.arange(800) % 8) == 2 / 2**8


def test_runs_that_do_not_differ_are_told_apart_no_more_often_than_allowed():
    rng = np.random.default_rng(3)
    books = np.arange(24).repeat(10)
    differences = rng.normal(0, 1, (24, 400)).repeat(10, axis=0) + rng.normal(0, 1, (240, 400))
    flips = sign_flips(differences, books, 1000, 0)
    assert 0.02 <= np.mean(flips.p <= 0.05) <= 0.09
    false_findings = [
        sign_flips(differences[:, start : start + 10], books, 500, start).p_joint.min() <= 0.05
        for start in range(0, 400, 10)
    ]
    assert sum(false_findings) <= 6  # of 40; 2 are expected


def test_the_joint_p_does_not_pay_for_metrics_that_say_the_same():
    rng = np.random.default_rng(4)
    one = rng.normal(0.5, 1, 80)[:, None]
    books = np.arange(80) % 8
    alone = sign_flips(one, books, 1000, 0)
    together = sign_flips(np.repeat(one, 50, axis=1), books, 1000, 0)
    assert together.p_joint == pytest.approx(np.repeat(alone.p, 50))
    assert alone.p_joint == pytest.approx(alone.p)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(2, 9))
def test_the_joint_p_is_at_least_p_and_keeps_the_order_of_the_statistics(seed, n_columns, n_books):
    rng = np.random.default_rng(seed)
    differences = rng.normal(rng.normal(0, 1, n_columns), 1, (4 * n_books, n_columns))
    p, p_joint = sign_flips(differences, np.arange(4 * n_books) % n_books, 600, seed)
    assert (p_joint >= p - 1e-12).all()
    assert (p_joint <= 1).all()
    strongest = p_joint.argmin()
    assert p_joint[strongest] <= p_joint.max()


def test_a_comparison_leaves_out_what_is_unknown():
    differences = np.array([[0.2, np.nan], [0.4, 0.1], [np.nan, np.nan], [0.6, np.nan]])
    first, second = paired(differences, np.array([1, 2, 3, 3]), 500, 0)
    assert first.difference == pytest.approx(0.4)
    assert (first.n_sequences, first.n_books, second.n_sequences, second.n_books) == (3, 3, 1, 1)
    assert first.low is not None
    assert first.high is not None
    assert first.low < 0.4 < first.high
    assert second.difference == pytest.approx(0.1)
    assert second[1:5] == (None, None, None, None)  # one book


def test_the_same_seed_gives_the_same_and_runs_that_change_places_the_opposite():
    rng = np.random.default_rng(5)
    differences, books = rng.normal(0.3, 1, (60, 2)), np.arange(60) % 20
    there, back = paired(differences, books, 500, 7)[0], paired(-differences, books, 500, 7)[0]
    assert paired(differences, books, 500, 7)[0] == there
    assert back.difference == pytest.approx(-(there.difference or 0))
    assert back.p == there.p


def test_holm_by_hand():
    assert holm([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])
    assert holm([]) == []


@given(PS)
def test_holm_is_between_p_and_bonferroni_and_keeps_the_order(ps):
    known = [(p, adjusted) for p, adjusted in zip(ps, holm(ps), strict=True) if p is not None and adjusted is not None]
    assert len(known) == sum(p is not None for p in ps)
    assert all(p <= adjusted <= min(1, p * len(known)) + 1e-12 for p, adjusted in known)
    ordered = [adjusted for _, adjusted in sorted(known)]
    assert ordered == sorted(ordered)
