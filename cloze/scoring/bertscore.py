"""BERTScore by the package `bert_score`: how alike the tokens of two texts are in meaning (Zhang et al., 2020).

The values belong to an encoder and a layer of it: those of two encoders cannot be compared. What `bert_score` 0.3.13
needs with transformers 5 is done here: a blank text crashes it, and so does a text longer than a window that the
tokenizer does not know.
"""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from cloze.errors import SettingsError
from cloze.scoring.bleu import Pair
from cloze.scoring.encoders import MINILM, encoder_folder

METRICS = ("bertscore_precision", "bertscore_recall", "bertscore_f1")
PUBLISHED = "roberta-large"  # at layer 17: the encoder of the published table, and of most

K = TypeVar("K")

_CHUNK = 512  # pairs whose tokens are held in memory at a time


class Encoder(NamedTuple):
    """What turns a text into vectors.

    Attributes:
        name: as the user named it; of a folder its last part, so that no path of a machine gets into a signature.
        path: what `transformers` loads.
        layer: whose output is compared.
        weights: `sha256:` of the weights.
    """

    name: str
    path: Path
    layer: int
    weights: str


class BertScore:
    """Scores pairs of texts by one encoder, which is loaded when this is made.

    Attributes:
        encoder: what is used.
        metrics: those of METRICS that are wanted.
        window: how many tokens of a text it sees.
        n_truncated: how many different texts were longer than that so far; what is beyond the window is not seen.

    Raises:
        MissingInputError: the encoder is not there.
        SettingsError: the encoder does not have that layer, or nobody knows which layer of it to take.
    """

    def __init__(self, encoder: str = PUBLISHED, layer: int = 0, metrics: Sequence[str] = METRICS) -> None:
        self.metrics = tuple(metric for metric in METRICS if metric in metrics)
        self.encoder, config = find_encoder(encoder, layer)
        from bert_score import BERTScorer

        self._scorer = BERTScorer(model_type=str(self.encoder.path), num_layers=self.encoder.layer)
        self._tokenizer = self._scorer._tokenizer
        self.window = min(self._tokenizer.model_max_length, _positions(config))
        self._tokenizer.model_max_length = self.window
        self._truncated: set[str] = set()

    @property
    def n_truncated(self) -> int:
        """How many different texts were longer than the window so far."""
        return len(self._truncated)

    def scores(self, pairs: Sequence[Pair | None]) -> dict[str, np.ndarray]:
        """The wanted metrics (n,) of each pair of prediction and reference.

        0 where one of the two is blank, NaN where there is no pair. Pairs that share texts should stand together:
        within a chunk each text is encoded once.
        """
        whole = [pair for pair in dict.fromkeys(pairs) if pair and all(text.strip() for text in pair)]
        known: dict[Pair, np.ndarray] = {}
        for start in range(0, len(whole), _CHUNK):
            chunk = whole[start : start + _CHUNK]
            self._count_truncated({text for pair in chunk for text in pair})
            predictions, references = (list(texts) for texts in zip(*chunk, strict=True))
            values = np.stack([column.numpy() for column in self._scorer.score(predictions, references)], axis=1)
            known |= zip(chunk, values.astype(float), strict=True)
        blank, unknown = np.zeros(len(METRICS)), np.full(len(METRICS), np.nan)
        rows = np.array([known.get(pair, blank) if pair else unknown for pair in pairs]).reshape(-1, len(METRICS))
        return {name: rows[:, METRICS.index(name)] for name in self.metrics}

    def signatures(self) -> dict[str, str]:
        """What makes the values: `bert_score`'s own hash, by the encoder's name, and what that does not say."""
        from bert_score.utils import get_hash

        made = get_hash(self.encoder.name, self.encoder.layer, False, False, False, False)
        settings = f"{made}|{self.encoder.weights}|window:{self.window}|rescale_with_baseline:no|blank:0|mean"
        return {name: f"{name}|{settings}|bert-score:{version('bert-score')}" for name in self.metrics}

    def _count_truncated(self, texts: set[str]) -> None:
        """Remember those that do not fit; a token is a byte at least, so short ones need not be cut into tokens."""
        for text in texts:
            if len(text.encode()) + 2 > self.window and text not in self._truncated:
                tokens = self._tokenizer.encode(text.strip(), truncation=False, verbose=False)
                if len(tokens) > self.window:
                    self._truncated.add(text)


def scores_together(scorer: BertScore, columns: Mapping[K, Sequence[Pair | None]]) -> dict[K, dict[str, np.ndarray]]:
    """Scores of several columns of pairs of the same length, row by row, so that texts of one row are encoded once."""
    by_row = [pair for row in zip(*columns.values(), strict=True) for pair in row]
    scores = scorer.scores(by_row)
    step = len(columns)
    return {key: {name: values[i::step] for name, values in scores.items()} for i, key in enumerate(columns)}


def find_encoder(name: str, layer: int) -> tuple[Encoder, Any]:
    """The encoder that a user names, and its configuration; its weights are not loaded.

    The layer 0 stands for the one `bert_score` has chosen for a known encoder, and for the last one of `minilm`, whose
    middle layers tell right from wrong references worse.

    Raises:
        MissingInputError: it is not there.
        SettingsError: it does not have that layer, or nobody knows which layer of it to take.
    """
    folder = encoder_folder(name)
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folder)
    n_layers = config.num_hidden_layers
    layer = layer or (n_layers if name == MINILM else _known_layer(name))
    if not 1 <= layer <= n_layers:
        raise SettingsError("layers", layer, f"from 1 to {n_layers}, which encoder {name} has")
    called = Path(name).resolve().name if Path(name).is_dir() else name
    return Encoder(called, folder, layer, _digest(folder)), config


def _known_layer(name: str) -> int:
    from bert_score.utils import model2layers

    known = name.partition("@")[0]
    if known not in model2layers:
        raise SettingsError("layers", 0, f"given: bert_score has chosen none for encoder {name}")
    return int(model2layers[known])


def _digest(folder: Path) -> str:
    """Digest of the weights; where they are one file, that file's."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    return f"sha256:{digest.hexdigest()}"


def _positions(config: Any) -> int:
    """Tokens for which an encoder has positions; RoBERTa's begin after that of its padding."""
    is_roberta = "roberta" in config.model_type or config.model_type in ("camembert", "longformer")
    return int(config.max_position_embeddings) - (config.pad_token_id + 1 if is_roberta else 0)
