"""How sure a mean score is: bootstrap intervals that know that the panels of one book are not independent."""

from typing import NamedTuple

import numpy as np

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


def percentile_interval(means: np.ndarray) -> Interval:
    """The middle 95 % of resampled means (resamples,); NaN where they are unknown."""
    known = means[~np.isnan(means)]
    if not len(known):
        return Interval(np.nan, np.nan)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(low), float(high))


def _per_cluster(values: np.ndarray, codes: np.ndarray, n_clusters: int) -> np.ndarray:
    columns = [np.bincount(codes, weights=column, minlength=n_clusters) for column in values.T]
    return np.stack(columns, axis=1) if columns else np.empty((n_clusters, 0))


def _draws(rng: np.random.Generator, size: int, n_clusters: int) -> np.ndarray:
    """(size, n_clusters): how often each cluster is in each sample."""
    return rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=size).astype(float)


def _means(draws: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return (draws @ sums) / (draws @ counts)
