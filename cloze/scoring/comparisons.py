"""Two runs on the same sequences: how much they differ, how sure that is, and whether chance would do."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cloze.scoring.intervals import effective_clusters, percentile_interval, resampled_means

_CHUNK = 1000  # sign flips drawn at a time: bounds the memory where there are thousands of books
_TIE = 1e-9  # two sums of the same numbers in another order are the same


class Paired(NamedTuple):
    """Mean of paired differences; None where it is unknown.

    Attributes:
        p: two-sided, of the randomisation test by book.
        p_joint: the same, corrected for all columns that were tested together.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    p_joint: float | None
    n_sequences: int
    n_books: int


class SignFlips(NamedTuple):
    """Two-sided p of each column (k,), and corrected for all of them; NaN where there are fewer than two books."""

    p: np.ndarray
    p_joint: np.ndarray


def paired(differences: np.ndarray, clusters: np.ndarray, resamples: int, seed: int) -> list[Paired]:
    """Mean of each column of differences with its 95 % interval and p, both by book.

    Args:
        differences: (n, k) score of one run less that of another on the same sequence; NaN where either is unknown.
        clusters: (n,) the book (or group of reprints) of each sequence.
        resamples: bootstrap samples behind each interval, and random sign flips behind each p.
        seed: the same seed gives the same values.

    Returns:
        k results. With fewer than two books there is a difference, but neither interval nor p.
    """
    means = resampled_means(differences, clusters, resamples, seed)
    books = effective_clusters(differences, clusters)
    flips = sign_flips(differences, clusters, resamples, seed)
    known = ~np.isnan(differences)
    found = []
    for column in range(differences.shape[1]):
        rows = known[:, column]
        interval = percentile_interval(means[:, column], float(books[column]))
        mean = float(differences[rows, column].mean()) if rows.any() else np.nan
        estimates = (mean, *interval, float(flips.p[column]), float(flips.p_joint[column]))
        difference, low, high, p, p_joint = map(_or_none, estimates)
        found.append(Paired(difference, low, high, p, p_joint, int(rows.sum()), len(np.unique(clusters[rows]))))
    return found


def sign_flips(differences: np.ndarray, clusters: np.ndarray, resamples: int, seed: int) -> SignFlips:
    """Test the hypothesis that the two runs may change places, for all sequences of a book at once.

    If the runs do not differ, each book's summed difference could as well have the other sign (Fisher's randomisation
    test; by cluster Canay, Romano and Shaikh 2017, Econometrica 85). The statistic is the sum over all sequences, which
    orders the flips as their mean does. Where the books allow no more than `resamples` flips all of them are tried and
    p is exact; else so many are drawn, and p is (hits + 1) / (resamples + 1), which is never 0 (Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585).

    The joint p flips a book's sign in all columns at once and compares with the largest statistic of all columns, each
    in units of the root of its summed squares, step by step downwards (max-T of Westfall and Young 1993; Romano and
    Wolf 2005, JASA 100). Like Holm's it keeps the chance of any false finding; unlike Holm's it knows that the columns
    (metrics that go together) are dependent, so that eight books can show something in a hundred columns.

    Args: as of `paired`.
    """
    names, codes = np.unique(clusters, return_inverse=True)
    known = ~np.isnan(differences)
    filled = np.where(known, differences, 0.0)
    by_book = np.stack([np.bincount(codes, weights=column, minlength=len(names)) for column in filled.T], axis=1)
    is_tested = np.array([len(np.unique(codes[rows])) >= 2 for rows in known.T])
    scale = np.sqrt((by_book**2).sum(axis=0))
    sums = by_book / np.where(scale > 0, scale, 1.0)
    is_exact = len(names) < 64 and 2 ** (len(names) - 1) <= resamples
    total = 2 ** (len(names) - 1) if is_exact else resamples
    rng = np.random.default_rng(seed)
    flipped = np.empty((total, len(is_tested)))
    for start in range(0, total, _CHUNK):
        size = min(_CHUNK, total - start)
        signs = _all_signs(start, size, len(names)) if is_exact else _random_signs(rng, size, len(names))
        flipped[start : start + size] = np.abs(signs @ sums)
    observed = np.abs(sums.sum(axis=0)) - _TIE
    extra = 0 if is_exact else 1
    p = ((flipped >= observed).sum(axis=0) + extra) / (total + extra)
    p_joint = np.full(len(is_tested), np.nan)
    order = np.flatnonzero(is_tested)[np.argsort(observed[is_tested], kind="stable")]  # the smallest statistic first
    if len(order):
        largest = np.maximum.accumulate(flipped[:, order], axis=1)  # of a column and all with smaller statistics
        stepped = ((largest >= observed[order]).sum(axis=0) + extra) / (total + extra)
        p_joint[order] = np.maximum.accumulate(stepped[::-1])[::-1]
    return SignFlips(np.where(is_tested, p, np.nan), p_joint)


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """P values corrected for their number, so that the chance of any false finding among them is kept (Holm 1979).

    The i-th smallest of m counts m - i + 1 times, and no corrected value is below that of a smaller p. Unknown ones do
    not count and stay unknown.
    """
    known = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[i] = largest
    return adjusted


def _all_signs(start: int, size: int, n_books: int) -> np.ndarray:
    """(size, n_books) of 1 and -1: a part of all ways to flip; the last book stays, as flipping all changes nothing."""
    numbers = np.arange(start, start + size)[:, None]
    return 1.0 - 2.0 * ((numbers >> np.arange(n_books)) & 1)


def _random_signs(rng: np.random.Generator, size: int, n_books: int) -> np.ndarray:
    return rng.integers(0, 2, (size, n_books)) * 2.0 - 1.0


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
