"""Clustered intervals and paired tests at the size of the full study, and how often the intervals hold the truth.

`python -m benchmarks.intervals` times 54,530 examples in 217 books with 10,000 resamples (claim: under 2 s), and the
floors on as many. `python -m benchmarks.intervals --coverage 2000` prints the table of docs/scores.md.
"""

import time
from collections.abc import Callable
from functools import partial

import click
import numpy as np

from cloze.scoring.comparisons import sign_flips
from cloze.scoring.floors import foreign, length
from cloze.scoring.intervals import Interval, effective_clusters, percentile_interval, resampled_means
from cloze.scoring.references import Examples, Reference

EXAMPLES, BOOKS, RESAMPLES, COLUMNS = 54_530, 217, 10_000, 20
N_BOOKS = (5, 10, 20, 60)
ICC = 0.2


@click.command()
@click.option("--coverage", "trials", default=0, help="Simulated data sets behind each figure; 0 measures speed.")
def main(trials: int) -> None:
    """Measure speed, or coverage."""
    if trials:
        show_coverage(trials)
    else:
        show_speed()


def show_speed() -> None:
    rng = np.random.default_rng(0)
    books = np.sort(rng.integers(0, BOOKS, EXAMPLES))
    scores = rng.random((EXAMPLES, COLUMNS))
    for columns in (1, COLUMNS):
        values = scores[:, :columns]
        _say(f"bootstrap, {columns} columns", partial(intervals, values, books))
        _say(f"sign flips, {columns} columns", partial(sign_flips, values - 0.5, books, RESAMPLES, 0))
    texts = [" ".join(["word"] * n) for n in rng.integers(20, 200, EXAMPLES)]
    ids = [f"{book}/{i}" for i, book in enumerate(books)]
    examples = Examples(ids, texts[::-1], books, [], [])
    reference = Reference("pred", texts, [], lambda given: {})
    _say("draw of the foreign floor", lambda: foreign(reference, examples, 0, {}))
    _say("draw of the length floor", lambda: length(reference, examples, 0, {}))


def intervals(values: np.ndarray, books: np.ndarray) -> list[Interval]:
    means = resampled_means(values, books, RESAMPLES, 0)
    numbers = effective_clusters(values, books)
    return [percentile_interval(column, number) for column, number in zip(means.T, numbers, strict=True)]


def show_coverage(trials: int) -> None:
    """Coverage of 95 % intervals, rows correlated within books: books of one size or of very different ones."""
    click.echo("| books | sizes | scores | percentile | used | width |\n|--:|---|---|--:|--:|--:|")
    for is_skewed in (False, True):
        for is_equal in (True, False):
            for n_books in N_BOOKS:
                plain, used, ratio = coverage(n_books, is_equal, is_skewed, trials)
                words = "equal" if is_equal else "unequal", "skewed" if is_skewed else "normal"
                click.echo(f"| {n_books} | {words[0]} | {words[1]} | {plain:.3f} | {used:.3f} | x{ratio:.2f} |")


def coverage(n_books: int, is_equal: bool, is_skewed: bool, trials: int) -> tuple[float, float, float]:
    """Coverage of the plain percentile interval and of ours, and how much wider ours is."""
    rng = np.random.default_rng(n_books)
    hits, width = np.zeros(2), np.zeros(2)
    for trial in range(trials):
        sizes = np.full(n_books, 20) if is_equal else np.ceil(12 * rng.lognormal(0, 1, n_books)).astype(int)
        books = np.arange(n_books).repeat(sizes)
        effects, noise = rng.normal(size=n_books)[books], rng.normal(size=len(books))
        if is_skewed:  # log-normal, of mean 0 and variance 1
            effects, noise = ((np.exp(x) - np.exp(0.5)) / np.sqrt((np.e - 1) * np.e) for x in (effects, noise))
        values = (np.sqrt(ICC) * effects + np.sqrt(1 - ICC) * noise)[:, None]
        means = resampled_means(values, books, 2000, trial)[:, 0]
        for i, number in enumerate((np.inf, float(effective_clusters(values, books)[0]))):
            low, high = np.quantile(means, [0.025, 0.975]) if i == 0 else percentile_interval(means, number)
            hits[i] += low <= 0 <= high
            width[i] += high - low
    return float(hits[0] / trials), float(hits[1] / trials), float(width[1] / width[0])


def _say(what: str, work: Callable[[], object]) -> None:
    seconds = []
    for _ in range(3):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    click.echo(f"{what}: {min(seconds):.2f} CPU-s (worst of 3: {max(seconds):.2f})")


if __name__ == "__main__":
    main()
