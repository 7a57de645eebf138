"""Generation for many examples at once, with keys and values of what was read kept.

Prompts are read one by one, and their keys and values padded on the left, so that all answers begin at the same
column; positions are counted from each row's first real token, and so a row's text does not depend on its company. Nor
does what is drawn: every row has random numbers of its own. Rows that have ended are dropped when half of a batch has.
"""

import random
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from cloze.model.answers import Answer
from cloze.model.caches import join_caches
from cloze.model.conversation import Chat, Example
from cloze.model.features import Features, Prepared, as_pictures
from cloze.model.last_layer import nowhere
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
    cache, mask = read_prompts(model, chat, examples, features, prepared, on_answers=decoding.on_answers)
    opening = torch.tensor([chat.opening] * len(examples), device=model.device)
    positions = mask.sum(1, keepdim=True) + torch.arange(len(chat.opening), device=model.device)
    mask = torch.cat([mask, torch.ones_like(opening)], dim=1)
    inputs = {"input_ids": opening}
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


@torch.inference_mode()
def read_prompts(
    model: Any, chat: Chat, examples: Sequence[Example], features: Features, prepared: Prepared, *, on_answers: bool
) -> tuple[DynamicCache, torch.Tensor]:
    """Keys and values of prompts up to where the assistant's turn opens.

    Prompts are read one by one: one of five panels fills a device, and without padding attention needs no mask, which
    takes the device's fastest kernel.

    Args:
        examples: with the assistant's turn open, as `Chat.encode` leaves it without an answer.
        prepared: the pictures of all of them, one after another.
        on_answers: LoRA weights inside the model are not to act on prompts.

    Returns:
        Keys and values padded on the left, and which of their places (examples, longest) are no padding.
    """
    pictures = iter(features.finish(prepared) if prepared.names else [])
    caches = []
    for example in examples:
        cache = DynamicCache(config=model.config)
        own = [next(pictures) for _ in example.pictures]
        with without_lora(model) if on_answers else nullcontext():
            model.model(
                torch.tensor([example.ids[: -len(chat.opening)]], device=model.device),
                past_key_values=cache,
                wanted=nowhere(1, model.device),
                **({"mm_encoder_outputs": as_pictures(own)} if own else {}),
            )
        caches.append(cache)
    lengths = torch.tensor([len(example.ids) - len(chat.opening) for example in examples], device=model.device)
    together = join_caches(caches)
    longest = together.get_seq_length()
    return together, (torch.arange(longest, device=model.device) >= longest - lengths[:, None]).long()


def _answer(chat: Chat, example: Example, output: list[int], seconds: float) -> Answer:
    has_ended = bool(output) and output[-1] == chat.end_id
    return Answer(chat.decode(output), "stop" if has_ended else "length", len(example.ids), len(output), seconds)
