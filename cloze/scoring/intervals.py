"""How sure a mean score is: bootstrap intervals that know that the panels of one book are not independent."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, stdtrit

LEVEL = 0.95

_CHUNK = 1000  # resamples drawn at a time: bounds the memory where there are thousands of books


class Interval(NamedTuple):
    """Ends of an interval; NaN where it is unknown."""

    low: float
    high: float


def resampled_means(values: np.ndarray, clusters: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means of each column over bootstrap samples of whole clusters.

    A sample draws as many clusters as there are, with replacement, and all rows of each. A mean needs only the sum
    and the number of rows of each cluster, so all samples are two matrix products.

    Args:
        values: (n, k) scores; NaN where unknown, which does not count.
        clusters: (n,) the book (or group of reprints) of each row; any dtype that sorts.
        resamples: how many samples to draw.
        seed: the same seed gives the same means.

    Returns:
        (resamples, k) means, each sample the same for all columns, so that the difference of two columns may be
        taken. NaN in columns with fewer than two clusters: how books differ is unknown then.

    Raises:
        ValueError: `values` and `clusters` differ in length.
    """
    if len(values) != len(clusters):
        raise ValueError(f"{len(values)} rows of values, {len(clusters)} clusters")
    names, codes = np.unique(clusters, return_inverse=True)
    known = ~np.isnan(values)
    sums = _per_cluster(np.where(known, values, 0.0), codes, len(names))
    counts = _per_cluster(known.astype(float), codes, len(names))
    sums[:, (counts > 0).sum(axis=0) < 2] = np.nan
    rng = np.random.default_rng(seed)
    chunks = [min(_CHUNK, resamples - done) for done in range(0, resamples, _CHUNK)]
    with np.errstate(invalid="ignore"):  # 0 / 0: a sample that drew no cluster with a known value
        return np.concatenate([_means(_draws(rng, size, len(names)), sums, counts) for size in chunks])


def effective_clusters(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """As how many clusters of one size the clusters of each column count, by their sizes.

    A mean over clusters of very different sizes rests on the few largest. Their effective number is (sum n)^2 / sum
    n^2, which is their number where all have the same size n (Kish 1965; Carter, Schnepel and Steigerwald 2017, Review
    of Economics and Statistics 99, at the within-cluster correlation that is the worst case).

    Args:
        values: (n, k) scores; NaN where unknown, which does not count.
        clusters: (n,) the book (or group of reprints) of each row.

    Returns:
        (k,) numbers from 1 to the number of clusters; NaN in columns without a known value.
    """
    names, codes = np.unique(clusters, return_inverse=True)
    counts = _per_cluster((~np.isnan(values)).astype(float), codes, len(names))
    with np.errstate(invalid="ignore"):
        return counts.sum(axis=0) ** 2 / (counts**2).sum(axis=0)


def clustered_stderr(values: np.ndarray, clusters: np.ndarray) -> float:
    """Standard error of the mean of values that are not independent within a cluster.

    With C clusters and d_c the sum of (value - mean) over cluster c: sqrt(C / (C - 1) * sum of d_c^2) / n.

    Args:
        values: (n,) scores, all known.
        clusters: (n,) the book (or group of reprints) of each row.

    Returns:
        The standard error; NaN with fewer than two clusters, where it is unknown.

    Source: Miller 2024, arXiv:2411.00640, section 2.2; C / (C - 1) is the usual correction for few clusters.
    """
    names, codes = np.unique(clusters, return_inverse=True)
    if len(names) < 2:
        return float("nan")
    sums = np.bincount(codes, weights=values - values.mean())
    return float(np.sqrt(len(names) / (len(names) - 1) * (sums**2).sum()) / len(values))


def percentile_interval(means: np.ndarray, clusters: float, tail: float = (1 - LEVEL) / 2) -> Interval:
    """The middle of resampled means, 95 % at the usual tail, widened for few clusters.

    The bootstrap distribution of a mean of C clusters is too narrow by sqrt((C - 1) / C) and has the tails of a normal
    distribution instead of those of a t distribution with C - 1 degrees of freedom. The expanded percentile interval
    takes quantiles further out, by just that (Hesterberg 2015, The American Statistician 69); with
    many clusters it is the percentile interval. docs/scores.md has the coverage that this was chosen by.

    Args:
        means: (resamples,) resampled means; NaN where a sample held no known value.
        clusters: effective number of clusters behind them (`effective_clusters`).
        tail: probability left out at either end.

    Returns:
        Both ends; NaN where they are unknown.
    """
    known = means[~np.isnan(means)]
    if not len(known) or not clusters > 1:
        return Interval(np.nan, np.nan)
    expanded = ndtr(np.sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, tail))
    low, high = np.quantile(known, [expanded, 1 - expanded])
    return Interval(float(low), float(high))


def _per_cluster(values: np.ndarray, codes: np.ndarray, n_clusters: int) -> np.ndarray:
    columns = [np.bincount(codes, weights=column, minlength=n_clusters) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.empty((n_clusters, 0))


def _draws(rng: np.random.Generator, size: int, n_clusters: int) -> np.ndarray:
    """(size, n_clusters): how often each cluster is in each sample."""
    return rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=size).astype(float)


def _means(draws: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return (draws @ sums) / (draws @ counts)
