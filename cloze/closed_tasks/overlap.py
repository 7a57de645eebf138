"""The scorer `idf`: which candidate shares the rarest words with what was said before? No model, no training.

It is the cosine of TF-IDF vectors in its textbook form, as scikit-learn has it (`TfidfVectorizer(binary=True)`): a
word's weight is its idf, ln((1 + n) / (1 + df)) + 1, where n documents of which df hold the word.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from cloze.closed_tasks.items import Item

Idf = Callable[[str], float]

_WORD = re.compile(r"[^\W_]+")


def overlap_scores(items: Sequence[Item], documents: Iterable[str]) -> list[list[float]]:
    """Cosine of each candidate's first box with the context's lettering, from 0 to 1; 0 where either has no words.

    The first box is all of a candidate in text-cloze. In character-coherence candidates hold the same words, and the
    box that goes better with what was said before is taken to come first.

    Args:
        documents: texts that say how rare a word is. They must not tell right candidates from wrong ones.
    """
    weight = idf([words(document) for document in documents])
    scores = []
    for item in items:
        context = words(item.context_text)
        scores.append([cosine(context, words(boxes[0]), weight) for boxes in item.candidates])
    return scores


def words(text: str) -> frozenset[str]:
    """The different words of a text: runs of letters and digits of any script, in one case."""
    return frozenset(_WORD.findall(text.casefold()))


def idf(documents: Collection[Collection[str]]) -> Idf:
    """Weight of a word by the documents, each a collection of different words, that hold it."""
    counts = Counter(word for document in documents for word in document)
    n = len(documents)
    return lambda word: math.log((1 + n) / (1 + counts[word])) + 1


def cosine(one: Collection[str], other: Collection[str], weight: Idf) -> float:
    """Cosine of two sets of words, each word a dimension of its weight; 0 where either is empty."""
    shared, lengths = sorted(set(one) & set(other)), (_square(one, weight), _square(other, weight))
    return _square(shared, weight) / math.sqrt(lengths[0] * lengths[1]) if shared else 0.0


def _square(some: Collection[str], weight: Idf) -> float:
    return math.fsum(weight(word) ** 2 for word in some)  # fsum: in any order the same
