"""The original study's BLEU: the mean of NLTK's sentence BLEU-4. And the counting that all BLEUs share.

BLEU is of Papineni et al., 2002 (doi:10.3115/1073083.1073135); smoothing method 1 is of Chen and Cherry, 2014
(doi:10.3115/v1/W14-3346). sacreBLEU's corpus BLEU is in `corpus_bleu`.
"""

import math
import multiprocessing
import os
from collections import Counter
from collections.abc import Hashable, Sequence

NLTK = "3.10.4"  # whose sentence BLEU ours is equal to; a test compares them
ORDERS = 4

_SMOOTHED = 0.1  # matches that smoothing method 1 puts in the place of none
_TASK = 5_000  # pairs handed to a process at a time; fewer are done sooner than a process starts

Pair = tuple[str, str]  # prediction and reference


def sentence_bleus(pairs: Sequence[Pair], processes: int = 1) -> list[float]:
    """Sentence BLEU of each pair; processes that share many pairs change no value."""
    processes = min(processes, math.ceil(len(pairs) / _TASK))
    if processes < 2:
        return [sentence_bleu(pair) for pair in pairs]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.map(sentence_bleu, pairs, chunksize=_TASK)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sentence_bleu(pair: Pair) -> float:
    """BLEU-4 of one pair, lower-cased and cut at white space, to the last bit as NLTK has it with method 1.

    An order without a match counts as 0.1 matches, and no higher order can have one. Without a matching word it is 0.
    """
    prediction, reference = pair
    words, wanted = prediction.lower().split(), reference.lower().split()
    matched = shared_ngrams(words, wanted)
    if not matched[0]:
        return 0.0
    logs = [math.log((matched[n] or _SMOOTHED) / max(1, len(words) - n)) for n in range(ORDERS)]
    brevity = 1.0 if len(words) > len(wanted) else math.exp(1 - len(wanted) / len(words))
    return brevity * math.exp(math.fsum(log / ORDERS for log in logs))


def shared_ngrams(words: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """How many n-grams of `words` can be paired with one of `wanted`, for n from 1 to ORDERS.

    Orders after one without a shared n-gram have none, and n-grams are only counted where one comes twice.
    """
    shared = [0] * ORDERS
    for n in range(ORDERS):
        ours, theirs = _ngrams(words, n + 1), _ngrams(wanted, n + 1)
        different = set(ours)
        common = different.intersection(theirs)
        if not common:
            break
        if len(different) == len(ours):
            shared[n] = len(common)
            continue
        times, there = (Counter(filter(common.__contains__, grams)) for grams in (ours, theirs))
        shared[n] = sum(map(min, times.values(), map(there.__getitem__, times)))
    return shared


def _ngrams(words: Sequence[str], n: int) -> Sequence[Hashable]:
    return words if n == 1 else list(zip(*(words[i:] for i in range(n)), strict=False))
