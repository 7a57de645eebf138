"""Greedy generation for many examples at once, with keys and values of what was read kept.

Prompts are padded on the left, so that all answers begin at the same column; positions are counted from each row's
first real token, and so a row's text does not depend on its company.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache

from cloze.model.conversation import Chat, Example
from cloze.model.features import Features, Prepared, as_pictures
from cloze.model.objectives import without_lora
from cloze.model.prefetch import ahead


@dataclass(frozen=True)
class Answer:
    """What the model wrote.

    Attributes:
        finish_reason: `stop` where it ended its turn, `length` where it was cut.
        seconds: share of the time that its batch took.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    output_tokens: int
    seconds: float


def generate(
    model: Any,
    chat: Chat,
    examples: Sequence[Example],
    features: Features,
    batch: int,
    max_new_tokens: int,
    *,
    on_answers: bool = False,
) -> list[Answer]:
    """Answer prompts greedily, the longest first; answers come in the order of the examples.

    Args:
        on_answers: the model's LoRA weights act from the opening of the answer on (`adapted=answer`).
    """
    order = sorted(range(len(examples)), key=lambda index: -len(examples[index].ids))
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    answers: dict[int, Answer] = {}

    def prepare(indices: list[int]) -> tuple[list[int], Prepared]:
        return indices, features.prepare([name for index in indices for name in examples[index].pictures])

    with closing(ahead(batches, prepare)) as prepared:
        for indices, pictures in prepared:
            started = time.perf_counter()
            some = [examples[index] for index in indices]
            outputs = generate_batch(model, chat, some, features, pictures, max_new_tokens, on_answers=on_answers)
            seconds = (time.perf_counter() - started) / len(indices)
            answers |= {
                index: _answer(chat, example, output, seconds)
                for index, example, output in zip(indices, some, outputs, strict=True)
            }
    features.flush()
    return [answers[index] for index in range(len(examples))]


@torch.inference_mode()
def generate_batch(
    model: Any,
    chat: Chat,
    examples: Sequence[Example],
    features: Features,
    prepared: Prepared,
    max_new_tokens: int,
    *,
    on_answers: bool = False,
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
    outputs: list[list[int]] = [[] for _ in examples]
    is_open = torch.ones(len(examples), dtype=torch.bool, device=model.device)
    if on_answers:
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
    for _ in range(max_new_tokens):
        found = model.model(**inputs, attention_mask=mask, position_ids=positions, past_key_values=cache)
        token = model.lm_head(found.last_hidden_state[:, -1]).argmax(-1)
        for row in is_open.nonzero().flatten().tolist():
            outputs[row].append(int(token[row]))
        is_open &= token != chat.end_id
        if not is_open.any():
            break
        inputs = {"input_ids": token[:, None]}
        mask = torch.cat([mask, mask.new_ones(len(examples), 1)], dim=1)
        positions = positions[:, -1:] + 1
    return outputs


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
