"""The scorer `idf`: which candidate shares the rarest words with what was said before? No model, no training.

It is the cosine of TF-IDF vectors in its textbook form, as scikit-learn has it (`TfidfVectorizer(binary=True)`): a
word's weight is its idf, ln((1 + n) / (1 + df)) + 1, where n documents of which df hold the word.
"""

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from cloze.closed_tasks.items import Item

_WORD = re.compile(r"[^\W_]+")


def overlap_scores(items: Sequence[Item], documents: Iterable[str]) -> list[list[float]]:
    """Cosine of each candidate's first box with the context's lettering, from 0 to 1; 0 where either has no words.

    The first box is all of a candidate in text-cloze. In character-coherence candidates hold the same words, and the
    box that goes better with what was said before is taken to come first.

    Args:
        documents: texts that say how rare a word is. They must not tell right candidates from wrong ones.
    """
    idf = Idf([words(document) for document in documents])
    scores = []
    for item in items:
        context = words(item.context_text)
        scores.append([idf.cosine(context, words(boxes[0])) for boxes in item.candidates])
    return scores


def words(text: str) -> frozenset[str]:
    """The different words of a text: runs of letters and digits of any script, in one case."""
    return frozenset(_WORD.findall(text.casefold()))


class Idf:
    """Weights of words by the documents that hold them.

    Args:
        documents: each a collection of different words.
    """

    def __init__(self, documents: Sequence[Collection[str]]) -> None:
        self._n = len(documents)
        counts = Counter(word for document in documents for word in document)
        self._squares = {word: self._weight(count) ** 2 for word, count in counts.items()}
        self._square_of_new = self._weight(0) ** 2

    def cosine(self, one: Collection[str], other: Collection[str]) -> float:
        """Cosine of two sets of words, each word a dimension of its weight; 0 where they share none."""
        shared = frozenset(one) & frozenset(other)
        return self._square(shared) / math.sqrt(self._square(one) * self._square(other)) if shared else 0.0

    def _weight(self, count: int) -> float:
        return math.log((1 + self._n) / (1 + count)) + 1

    def _square(self, some: Collection[str]) -> float:
        # fsum: the same in whatever order a set comes.
        return math.fsum(self._squares.get(word, self._square_of_new) for word in some)
