"""sacreBLEU: BLEU of all predictions together (13a tokens), and of each for itself. Never called `bleu` here.

A corpus BLEU is no mean of rows: it is computed from sums of counts over them. So each row has its counts, ten
numbers, from which the value of any set of rows follows, bootstrap samples too (Post 2018, arXiv:1804.08771).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cloze.scoring.bleu import ORDERS, Pair, shared_ngrams

N_COUNTS = 2 + 2 * ORDERS  # words of the prediction, of the reference, n-grams right and n-grams in all


@lru_cache(1)
def _corpus() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU()


@lru_cache(1)
def _sentence() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)  # as sacreBLEU asks for single sentences


def counts(pairs: Sequence[Pair]) -> np.ndarray:
    """Counts (n, N_COUNTS) of each pair, in the order of sacreBLEU's own segment statistics, and equal to them."""
    tokenize = _corpus().tokenizer
    rows = [_counts(tokenize(a.rstrip()).split(), tokenize(b.rstrip()).split()) for a, b in pairs]
    return np.array(rows, dtype=float).reshape(len(rows), N_COUNTS)


def corpus_bleu(rows: np.ndarray) -> float:
    """sacreBLEU of all rows of counts (n, N_COUNTS) together, divided by 100; rows of NaN do not count."""
    return _score(_corpus(), np.nansum(rows, axis=0))


def sentence_scores(rows: np.ndarray) -> np.ndarray:
    """sacreBLEU (n,) of each row of counts for itself, divided by 100."""
    return np.array([_score(_sentence(), row) for row in rows])


def corpus_bleus(means: np.ndarray, n: int) -> np.ndarray:
    """Corpus BLEU of many samples of rows at once, such as those of a bootstrap.

    Args:
        means: (k, N_COUNTS) mean counts of each sample.
        n: how many rows a sample stands for; only matters where an order has no match at all, which sacreBLEU
            (smoothing `exp`) counts as 1/2, 1/4, ... of a match.

    Returns:
        (k,) values from 0 to 1; NaN where a mean is NaN.
    """
    lengths, right, there = means[:, :2], means[:, 2 : 2 + ORDERS], means[:, 2 + ORDERS :]
    halvings = np.cumsum(right == 0, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(right == 0, 0.5**halvings / n, right) / there
        brevity = np.exp(np.minimum(0, 1 - lengths[:, 1] / lengths[:, 0]))
        values = brevity * np.exp(np.log(precisions).mean(axis=1))
    without = (right == 0).all(axis=1) | (there == 0).any(axis=1)
    return np.where(without, 0.0, values)


def signatures() -> dict[str, str]:
    """sacreBLEU's own signatures of the two."""
    corpus, sentence = _corpus().get_signature, _sentence().get_signature
    _corpus().corpus_score(["a"], [["a"]])  # a signature is known once something was scored
    _sentence().corpus_score(["a"], [["a"]])
    return {
        "sacrebleu": f"sacrebleu|corpus|0 to 1|{corpus()}",
        "sacrebleu_sentence": f"sacrebleu_sentence|sentence|0 to 1|mean|{sentence()}",
    }


def _counts(words: Sequence[str], wanted: Sequence[str]) -> list[int]:
    there = [max(0, len(words) - n) for n in range(ORDERS)]
    return [len(words), len(wanted), *shared_ngrams(words, wanted), *there]


def _score(bleu: Any, row: np.ndarray) -> float:
    numbers = [int(count) for count in row]
    found = bleu.compute_bleu(
        correct=numbers[2 : 2 + ORDERS],
        total=numbers[2 + ORDERS :],
        sys_len=numbers[0],
        ref_len=numbers[1],
        smooth_method=bleu.smooth_method,
        effective_order=bleu.effective_order,
    )
    return float(found.score) / 100
