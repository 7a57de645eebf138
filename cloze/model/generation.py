"""Generation for many examples at once, with keys and values of what was read kept.

Prompts are padded on the left, so that all answers begin at the same column; positions are counted from each row's
first real token, and so a row's text does not depend on its company. Nor does what is drawn: every row has random
numbers of its own. Rows that have ended are dropped when half of a batch has.
"""

import random
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from cloze.model.answers import Answer
from cloze.model.conversation import Chat, Example
from cloze.model.features import Features, Prepared, as_pictures
from cloze.model.objectives import without_lora
from cloze.model.prefetch import ahead


@dataclass(frozen=True)
class Decoding:
    """How answers are made.

    Attributes:
        max_new_tokens: longest answer, in tokens.
        temperature: 0 takes the likeliest token; above it, tokens are drawn.
        top_p: draws are from the smallest set of likeliest tokens with at least this probability (nucleus sampling,
            Holtzman et al. 2020, arXiv:1904.09751).
        seed: with a sequence's id it decides its draws.
        on_answers: the model's LoRA weights act from the opening of the answer on (`adapted=answer`).
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    on_answers: bool = False


def by_length(examples: Sequence[Example], batch: int) -> list[list[int]]:
    """Indices of examples in batches of about the same length, the longest first."""
    order = sorted(range(len(examples)), key=lambda index: -len(examples[index].ids))
    return [order[start : start + batch] for start in range(0, len(order), batch)]


def generate(
    model: Any,
    chat: Chat,
    examples: Sequence[Example],
    features: Features,
    batches: Iterable[list[int]],
    decoding: Decoding,
) -> Generator[dict[int, Answer], None, None]:
    """Answer prompts, batch by batch; the next batch's pictures are read meanwhile.

    Args:
        batches: indices of the examples that are answered together.

    Yields:
        The answers of a batch by index. Close the generator to leave before the end.
    """

    def prepare(indices: list[int]) -> tuple[list[int], Prepared]:
        return indices, features.prepare([name for index in indices for name in examples[index].pictures])

    with closing(ahead(batches, prepare)) as prepared:
        for indices, pictures in prepared:
            started = time.perf_counter()
            some = [examples[index] for index in indices]
            outputs = generate_batch(model, chat, some, features, pictures, decoding)
            seconds = (time.perf_counter() - started) / len(indices)
            yield {
                index: _answer(chat, example, output, seconds)
                for index, example, output in zip(indices, some, outputs, strict=True)
            }
    features.flush()


@torch.inference_mode()
def generate_batch(
    model: Any, chat: Chat, examples: Sequence[Example], features: Features, prepared: Prepared, decoding: Decoding
) -> list[list[int]]:
    """Token ids of the answer to each prompt; one that ended holds `<|im_end|>` as its last.

    Args:
        prepared: the pictures of all examples, one after another.
    """
    ids, mask = _pad_left(examples, chat.pad_id)
    ids, mask = ids.to(model.device), mask.to(model.device)
    pictures = as_pictures(features.finish(prepared))
    inputs: dict[str, Any] = {"input_ids": ids, "mm_encoder_outputs": pictures}
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    if decoding.on_answers:
        end = -len(chat.opening)
        with without_lora(model):
            model.model(
                ids[:, :end],
                mm_encoder_outputs=pictures,
                attention_mask=mask[:, :end],
                position_ids=positions[:, :end],
                past_key_values=cache,
            )
        inputs, positions = {"input_ids": ids[:, end:]}, positions[:, end:]
    outputs: list[list[int]] = [[] for _ in examples]
    draws = [random.Random(f"{decoding.seed}/{example.sequence_id}") for example in examples]  # noqa: S311
    rows = list(range(len(examples)))  # of the batch as it is now
    is_open = torch.ones(len(rows), dtype=torch.bool, device=model.device)
    for _ in range(decoding.max_new_tokens):
        found = model.model(**inputs, attention_mask=mask, position_ids=positions, past_key_values=cache)
        token = choose_tokens(model.lm_head(found.last_hidden_state[:, -1]), decoding, [draws[row] for row in rows])
        for place in is_open.nonzero().flatten().tolist():
            outputs[rows[place]].append(int(token[place]))
        is_open &= token != chat.end_id
        left = is_open.nonzero().flatten()
        if not len(left):
            break
        positions = positions[:, -1:] + 1
        if 2 * len(left) <= len(rows):
            cache.batch_select_indices(left)
            token, mask, positions, is_open = token[left], mask[left], positions[left], is_open[left]
            rows = [rows[place] for place in left.tolist()]
        inputs = {"input_ids": token[:, None]}
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    return outputs


def choose_tokens(logits: torch.Tensor, decoding: Decoding, draws: Sequence[random.Random]) -> torch.Tensor:
    """The next token (rows,) of logits (rows, vocabulary): the likeliest, or one drawn for each row."""
    if decoding.temperature == 0:
        return logits.argmax(-1)
    likely, tokens = (logits.float() / decoding.temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
    sums = likely.cumsum(-1)
    before = sums - likely  # of all likelier tokens together
    mass = likely.masked_fill(before >= decoding.top_p, 0).sum(-1)
    drawn = torch.tensor([draw.random() for draw in draws], device=logits.device) * mass
    place = (sums <= drawn[:, None]).sum(-1, keepdim=True)
    last = (before < decoding.top_p).sum(-1, keepdim=True) - 1  # rounding must not lead beyond the nucleus
    return tokens.gather(-1, place.minimum(last))[:, 0]


def _pad_left(examples: Sequence[Example], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), longest), pad_id)
    mask = torch.zeros((len(examples), longest), dtype=torch.long)
    for row, example in enumerate(examples):
        ids[row, longest - len(example.ids) :] = torch.tensor(example.ids)
        mask[row, longest - len(example.ids) :] = 1
    return ids, mask


def _answer(chat: Chat, example: Example, output: list[int], seconds: float) -> Answer:
    has_ended = bool(output) and output[-1] == chat.end_id
    return Answer(chat.decode(output), "stop" if has_ended else "length", len(example.ids), len(output), seconds)
