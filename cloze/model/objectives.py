"""What a training step lowers: the summed cross-entropy of the tokens that carry loss. There are two ways to get it.

`WholeSequences` reads each example from its first token to its last, with the LoRA weights acting on all of them.

`AnswersOnly` is activated LoRA (Greenewald et al. 2025, arXiv:2504.12397): the weights act from the opening of the
assistant's turn on. The prompt, nearly all of an example, is then read by the frozen base: without gradients, and its
keys and values are the same in every epoch, for every adapter and under both paradigms, so that they can be kept.

Of either, `prepare` is what the host can do ahead of the device, in any thread; `loss` is what the device does.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.nn import functional
from transformers import DynamicCache

from cloze.model.base import Base
from cloze.model.batches import Batch, collate
from cloze.model.conversation import Example
from cloze.model.feature_store import FeatureStore, Stored
from cloze.model.features import Features, Prepared, as_pictures
from cloze.model.last_layer import nowhere, wanted_where


class Objective(Protocol):
    """A way to get the loss of some examples."""

    model: Any

    def prepare(self, examples: Sequence[Example]) -> Any:
        """What `loss` takes."""

    def loss(self, prepared: Any) -> torch.Tensor:
        """Summed cross-entropy of the examples' supervised tokens, a scalar."""


class WholeSequences:
    """Trained weights act on every token.

    Args:
        model: a LlavaOnevisionForConditionalGeneration, LoRA layers inside or not.
        features: gives its pictures' features.
        pad_id: token of the padding.
    """

    def __init__(self, model: Any, features: Features, pad_id: int) -> None:
        self.model = model
        self._features = features
        self._pad_id = pad_id

    def prepare(self, examples: Sequence[Example]) -> tuple[Batch, Prepared]:
        """Examples side by side, and their pictures."""
        batch = collate(examples, self._pad_id)
        return batch, self._features.prepare(batch.pictures)

    def loss(self, prepared: tuple[Batch, Prepared]) -> torch.Tensor:
        """Summed cross-entropy of the supervised tokens."""
        batch, pictures = prepared
        return _answer_loss(self.model, batch, mm_encoder_outputs=as_pictures(self._features.finish(pictures)))


@dataclass(frozen=True)
class _Row:
    """An example cut where its answer opens; either its prompt's keys and values are there, or its pictures."""

    prompt: Example
    answer: Example
    key: str
    kept: torch.Tensor | None
    pictures: Prepared | None


class AnswersOnly:
    """LoRA weights act on answers only.

    Prompts are read one by one: one of five panels fills a device, and a sum of floats depends on no company.

    Args:
        base: with LoRA layers inside its language model.
        features: gives its pictures' features; nothing before the language model may be trained.
        store: keeps keys and values of prompts; without one they are computed whenever they are asked for.
    """

    def __init__(self, base: Base, features: Features, store: FeatureStore | None = None) -> None:
        self.model = base.model
        self._chat = base.chat
        self._features = features
        self._store = store

    def prepare(self, examples: Sequence[Example]) -> list[_Row]:
        """Examples cut in two, with what is kept of their prompts.

        Raises:
            ValueError: no assistant's turn opens right before the first token that carries loss.
        """
        return [self._prepare(example) for example in examples]

    def loss(self, prepared: Sequence[_Row]) -> torch.Tensor:
        """Summed cross-entropy of the supervised tokens."""
        prompts = [self._keys_and_values(row) for row in prepared]
        n_read = [prompt.shape[-2] for prompt in prompts]
        batch = collate([row.answer for row in prepared], self._chat.pad_id)
        n_rows, n_columns = batch.ids.shape
        # Prompts end, and answers begin, at the same column.
        is_read = torch.arange(max(n_read)) >= max(n_read) - torch.tensor(n_read)[:, None]
        mask = torch.cat([is_read, torch.ones(n_rows, n_columns, dtype=torch.bool)], dim=1).long()
        positions = torch.tensor(n_read)[:, None] + torch.arange(n_columns)
        cache = DynamicCache(config=self.model.config)
        padded = torch.stack([functional.pad(p, (0, 0, max(n_read) - p.shape[-2], 0)) for p in prompts], dim=2)
        for number, (keys, values) in enumerate(padded):
            cache.update(keys, values, number)
        device = self.model.device
        return _answer_loss(
            self.model,
            batch,
            attention_mask=mask.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
        )

    def _prepare(self, example: Example) -> _Row:
        opening = self._chat.opening
        start = example.supervised.index(True) - len(opening)
        if example.ids[start : start + len(opening)] != opening:
            raise ValueError(f"sequence {example.sequence_id}: no assistant's turn opens before its answer")
        prompt = replace(example, ids=example.ids[:start], supervised=example.supervised[:start])
        answer = replace(example, ids=example.ids[start:], supervised=example.supervised[start:], pictures=())
        key = self._key(prompt)
        if self._store and (kept := self._store.get(key)):
            return _Row(prompt, answer, key, kept.tiles, None)
        return _Row(prompt, answer, key, None, self._features.prepare(prompt.pictures))

    def _key(self, prompt: Example) -> str:
        what = [prompt.ids, [self._features.key(name) for name in prompt.pictures]]
        return hashlib.sha256(json.dumps(what).encode()).hexdigest()

    @torch.no_grad()
    def _keys_and_values(self, row: _Row) -> torch.Tensor:
        """Of a prompt as the frozen base reads it: (layers, 2, heads, tokens, size of a head)."""
        shape = (self.model.config.text_config.num_hidden_layers, 2, -1, len(row.prompt.ids))
        if row.kept is not None:
            return row.kept.to(self.model.device).unflatten(0, shape[:3])
        assert row.pictures is not None  # noqa: S101 - one of the two is there
        cache: Any = DynamicCache(config=self.model.config)
        with without_lora(self.model), precise(self.model):
            self.model.model(
                torch.tensor([row.prompt.ids], device=self.model.device),
                mm_encoder_outputs=as_pictures(self._features.finish(row.pictures)),
                past_key_values=cache,
                wanted=nowhere(1, self.model.device),
            )
        found = torch.stack([torch.cat([layer.keys, layer.values]) for layer in cache.layers])
        if self._store:
            self._store.add_soon({row.key: Stored(found.flatten(0, 2), (0, 0))})
        return found


def _answer_loss(model: Any, batch: Batch, **read: Any) -> torch.Tensor:
    """Summed cross-entropy of the supervised tokens; the last layer and logits are computed for these only."""
    ids, supervised = batch.ids.to(model.device), batch.supervised.to(model.device)
    is_next = supervised[:, 1:]
    wanted, is_real = wanted_where(is_next)
    with precise(model):
        found = model.model(ids, use_cache="past_key_values" in read, wanted=wanted, **read)
        logits = model.lm_head(found.last_hidden_state[is_real])
    return functional.cross_entropy(logits.float(), ids[:, 1:][is_next], reduction="sum")


def precise(model: Any) -> torch.autocast:
    """Arithmetic in the model's precision where LoRA weights have another."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=model.dtype == torch.bfloat16)


@contextmanager
def without_lora(model: Any) -> Iterator[None]:
    """The base as it was before LoRA layers were put into it."""
    layers = [layer for layer in model.modules() if isinstance(layer, BaseTunerLayer)]
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)
