"""Two runs on the same sequences: how much they differ, how sure that is, and whether chance would do."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cloze.scoring.intervals import effective_clusters, percentile_interval, resampled_means

_CHUNK = 1000  # sign flips drawn at a time: bounds the memory where there are thousands of books
_TIE = 1e-9  # relative: two sums of the same numbers in another order are the same


class Paired(NamedTuple):
    """Mean of paired differences; None where it is unknown.

    Attributes:
        p: two-sided, of the randomisation test by book.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n_sequences: int
    n_books: int


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
    ps = sign_flip_p(differences, clusters, resamples, seed)
    known = ~np.isnan(differences)
    found = []
    for column in range(differences.shape[1]):
        rows = known[:, column]
        interval = percentile_interval(means[:, column], float(books[column]))
        mean = float(differences[rows, column].mean()) if rows.any() else np.nan
        difference, low, high, p = (_or_none(value) for value in (mean, *interval, float(ps[column])))
        found.append(Paired(difference, low, high, p, int(rows.sum()), len(np.unique(clusters[rows]))))
    return found


def sign_flip_p(differences: np.ndarray, clusters: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Two-sided p of the hypothesis that the two runs may change places, for all sequences of a book at once.

    If the runs do not differ, each book's summed difference could as well have the other sign (Fisher's randomisation
    test; by cluster Canay, Romano and Shaikh 2017, Econometrica 85). The statistic is the sum over all sequences,
    which orders the flips as their mean does. Where the books allow no more than `resamples` flips all of them are
    tried and p is exact; else so many are drawn, and p is (hits + 1) / (resamples + 1), which is never 0 (Phipson and
    Smyth 2010, doi:10.2202/1544-6115.1585).

    Args: as of `paired`.

    Returns:
        (k,) p; NaN in columns with fewer than two books.
    """
    names, codes = np.unique(clusters, return_inverse=True)
    known = ~np.isnan(differences)
    filled = np.where(known, differences, 0.0)
    sums = np.stack([np.bincount(codes, weights=column, minlength=len(names)) for column in filled.T], axis=1)
    n_books = np.array([len(np.unique(codes[rows])) for rows in known.T])
    observed = np.abs(sums.sum(axis=0))
    least = observed - _TIE * np.abs(sums).sum(axis=0)
    is_exact = len(names) < 64 and 2 ** (len(names) - 1) <= resamples
    total = 2 ** (len(names) - 1) if is_exact else resamples
    rng = np.random.default_rng(seed)
    hits = np.zeros(differences.shape[1])
    for start in range(0, total, _CHUNK):
        size = min(_CHUNK, total - start)
        signs = _all_signs(start, size, len(names)) if is_exact else _random_signs(rng, size, len(names))
        hits += (np.abs(signs @ sums) >= least).sum(axis=0)
    ps = hits / total if is_exact else (hits + 1) / (total + 1)
    return np.where(n_books < 2, np.nan, ps)


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
