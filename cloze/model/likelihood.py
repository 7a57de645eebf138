"""How likely a model finds given answers to a prompt, which is read once for all of them."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from cloze.model.conversation import Chat, Example
from cloze.model.features import Features, Prepared
from cloze.model.generation import read_prompts
from cloze.model.objectives import precise
from cloze.model.prefetch import ahead
from cloze.progress import progress


@dataclass(frozen=True)
class Likelihood:
    """Of one answer.

    Attributes:
        total: log-probability of its tokens, the end of the turn among them, in nats.
        n_tokens: how many these are.
    """

    total: float
    n_tokens: int

    @property
    def mean(self) -> float:
        """Log-probability per token."""
        return self.total / self.n_tokens


def likelihoods(
    model: Any,
    chat: Chat,
    prompts: Sequence[Example],
    answers: Sequence[Sequence[str]],
    features: Features,
    batch: int,
    *,
    on_answers: bool = False,
) -> list[list[Likelihood]]:
    """Likelihood of each prompt's answers, in the order of the prompts; the longest prompts are read first.

    Args:
        answers: for each prompt at least one text.
        batch: prompts read at once.
        on_answers: the model's LoRA weights act from the opening of the answer on (`adapted=answer`).
    """
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index].ids))
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    found: dict[int, list[Likelihood]] = {}

    def prepare(indices: list[int]) -> tuple[list[int], Prepared]:
        return indices, features.prepare([name for index in indices for name in prompts[index].pictures])

    with closing(ahead(batches, prepare)) as prepared, progress(len(prompts), "prompt") as update:
        for indices, pictures in prepared:
            some = likelihoods_of_batch(
                model,
                chat,
                [prompts[index] for index in indices],
                [answers[index] for index in indices],
                features,
                pictures,
                on_answers=on_answers,
            )
            found |= zip(indices, some, strict=True)
            update(len(indices))
    features.flush()
    return [found[index] for index in range(len(prompts))]


@torch.inference_mode()
def likelihoods_of_batch(
    model: Any,
    chat: Chat,
    prompts: Sequence[Example],
    answers: Sequence[Sequence[str]],
    features: Features,
    prepared: Prepared,
    *,
    on_answers: bool = False,
) -> list[list[Likelihood]]:
    """Likelihood of each prompt's answers.

    Prompts are read up to where the assistant's turn opens. Their keys and values, padded on the left, are then
    repeated for each answer, and the opening and the answers, padded on the right, are read in one pass.

    Args:
        prompts: with the assistant's turn open, as `Chat.encode` leaves it without an answer.
        prepared: the pictures of all prompts, one after another.
    """
    n_opening = len(chat.opening)
    with precise(model):
        cache, mask = read_prompts(model, chat, prompts, features, prepared, on_answers=on_answers)
    owners = [row for row, some in enumerate(answers) for _ in some]
    cache.batch_select_indices(torch.tensor(owners, device=model.device))
    mask = mask[owners]
    tails = [(*chat.opening, *chat.answer_ids(answer)) for some in answers for answer in some]
    ids = torch.full((len(tails), max(map(len, tails))), chat.pad_id)
    is_answer = torch.zeros_like(ids, dtype=torch.bool)
    for row, tail in enumerate(tails):
        ids[row, : len(tail)] = torch.tensor(tail)
        is_answer[row, n_opening : len(tail)] = True
    ids, is_answer = ids.to(model.device), is_answer.to(model.device)
    with precise(model):
        hidden = model.model(
            ids[:, :-1],
            # No token looks at the padding behind it.
            attention_mask=torch.cat([mask, mask.new_ones(len(tails), ids.shape[1] - 1)], dim=1),
            position_ids=mask.sum(1, keepdim=True) + torch.arange(ids.shape[1] - 1, device=model.device),
            past_key_values=cache,
        ).last_hidden_state
        logits = model.lm_head(hidden[is_answer[:, 1:]])
    losses = functional.cross_entropy(logits.float(), ids[is_answer], reduction="none")
    n_tokens = [len(tail) - n_opening for tail in tails]
    each = iter(Likelihood(-float(some.sum()), len(some)) for some in losses.split(n_tokens))
    return [[next(each) for _ in some] for some in answers]
