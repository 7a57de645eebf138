"""The scorer `encoder`: which candidate means something near to what was said before? A sentence encoder, frozen."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from cloze.closed_tasks.items import Item
from cloze.digests import folder_digest
from cloze.errors import MissingInputError
from cloze.progress import progress
from cloze.scoring.encoders import encoder_folder

_PACKAGE = "sentence-transformers"


class Encoder:
    """A sentence encoder with the pooling that it was trained with.

    Args:
        name: `minilm`, a folder, or an id on the hub.
        batch: texts encoded at once.

    Attributes:
        signature: what decides its vectors.

    Raises:
        MissingInputError: sentence-transformers is not installed, or there is no such encoder.
    """

    def __init__(self, name: str, batch: int) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise MissingInputError(
                f"encoder {name} needs sentence-transformers: pip install 'comics-cloze[minilm]'"
            ) from None
        folder = encoder_folder(name)
        self.signature = f"cosine|{name}|{folder_digest(folder)[:12]}|sentence-transformers:{version(_PACKAGE)}"
        self._model: Any = SentenceTransformer(str(folder), local_files_only=True)
        self._batch = batch

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, size) of length 1; equal texts are encoded once, texts of like length together."""
        unique = sorted(set(texts), key=lambda text: (-len(text), text))
        vectors: dict[str, np.ndarray] = {}
        with progress(len(unique), "text") as update:
            for start in range(0, len(unique), self._batch):
                some = unique[start : start + self._batch]
                found = self._model.encode(
                    some, batch_size=self._batch, normalize_embeddings=True, show_progress_bar=False
                )
                vectors |= zip(some, found, strict=True)
                update(len(some))
        return np.stack([vectors[text] for text in texts])


def similarity_scores(items: Sequence[Item], encode: Encoder) -> list[list[float]]:
    """Cosine of each candidate's first box with the context's lettering (`overlap_scores` says why the first).

    A context without lettering says nothing: its candidates score 0.
    """
    texts = [text for item in items for text in (item.context_text, *(boxes[0] for boxes in item.candidates))]
    vectors = iter(encode(texts))
    scores = []
    for item in items:
        context = next(vectors)
        near = [float(context @ next(vectors)) for _ in item.candidates]
        scores.append(near if item.context_text else [0.0] * len(near))
    return scores
