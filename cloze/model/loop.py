"""The training loop.

It is our own, not the Transformers Trainer, because what makes it fast (logits only where a token carries loss, kept
picture features) would have to be put into the Trainer's `compute_loss` and collator anyway, and what remains is
short enough to read in one sitting. A step is a pure function of its number, the seed, the weights and the optimizer's
memory: order, learning rate and dropout are computed from the number, so that a run can stop and go on anywhere.
"""

import logging
import math
import random
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from cloze.model.batches import Batch, collate, epoch_order
from cloze.model.conversation import Example
from cloze.model.features import Features, Prepared, as_pictures
from cloze.model.prefetch import ahead
from cloze.model.processes import ALONE, Processes

logger = logging.getLogger(__name__)

MAX_GRAD_NORM = 1.0


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        epochs: passes over the examples; a fraction stops within one.
        batch: examples in memory at once.
        accumulate: batches per step of the optimizer.
        lr: highest learning rate, reached after `warmup` (a share of all steps) and falling to 0 by a cosine.
    """

    epochs: float
    batch: int
    accumulate: int
    lr: float
    warmup: float
    seed: int

    def steps(self, n_examples: int) -> int:
        """Steps of the optimizer in all."""
        return max(1, round(self.epochs * self.steps_per_epoch(n_examples)))

    def steps_per_epoch(self, n_examples: int) -> int:
        """Steps that show each example once; the last takes what is left."""
        return math.ceil(n_examples / (self.batch * self.accumulate))


@dataclass(frozen=True)
class Step:
    """What one step of the optimizer showed."""

    number: int
    n_steps: int
    loss: float
    lr: float
    grad_norm: float
    n_tokens: int
    seconds: float


def train(
    model: Any,
    examples: Sequence[Example],
    features: Features,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    pad_id: int,
    *,
    done: int = 0,
    processes: Processes = ALONE,
) -> Generator[Step, None, None]:
    """Train what the optimizer holds, step by step; whoever asks for the steps may look at the weights in between.

    The loss of a step is the mean over all supervised tokens of its examples, however they are cut into batches and
    shared out to processes.

    Args:
        done: steps that are behind these weights and this optimizer.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    n_steps = schedule.steps(len(examples))
    started = time.perf_counter()
    for number, batches, pictures in _ready(examples, features, schedule, pad_id, done, processes):
        _seed(schedule.seed, number, processes.rank)
        lr = lr_at(number, n_steps, schedule.lr, schedule.warmup)
        for group in optimizer.param_groups:
            group["lr"] = lr
        n_supervised = sum(int(batch.supervised.sum()) for batch in batches)
        own = 0.0
        for batch, prepared in zip(processes.share(batches), pictures, strict=True):
            loss = answer_loss(model, batch, features.finish(prepared)) / n_supervised
            loss.backward()
            own += loss.item()
        processes.sum_gradients(parameters)
        (total,) = processes.sum(own)
        grad_norm = float(torch.nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        n_tokens = sum(batch.n_tokens for batch in batches)
        yield Step(number + 1, n_steps, total, lr, grad_norm, n_tokens, time.perf_counter() - started)
        started = time.perf_counter()


def _ready(
    examples: Sequence[Example],
    features: Features,
    schedule: Schedule,
    pad_id: int,
    done: int,
    processes: Processes,
) -> Iterator[tuple[int, list[Batch], list[Prepared]]]:
    """Steps that are left, counted from 0, with their batches, and this process's pictures read ahead in threads."""

    def prepare(step: tuple[int, list[list[Example]]]) -> tuple[int, list[Batch], list[Prepared]]:
        batches = [collate(some, pad_id) for some in step[1]]
        return step[0], batches, [features.prepare(batch.pictures) for batch in processes.share(batches)]

    with closing(ahead(_groups(examples, schedule, done), prepare)) as ready:
        yield from ready


def _groups(examples: Sequence[Example], schedule: Schedule, done: int) -> Iterator[tuple[int, list[list[Example]]]]:
    """Steps that are left and the examples of each of their batches."""
    lengths, per_epoch = [len(example.ids) for example in examples], schedule.steps_per_epoch(len(examples))
    order: list[list[int]] = []
    for number in range(done, schedule.steps(len(examples))):
        epoch, place = divmod(number, per_epoch)
        if place == 0 or not order:
            order = epoch_order(lengths, schedule.batch, schedule.seed, epoch)
        some = order[place * schedule.accumulate : (place + 1) * schedule.accumulate]
        yield number, [[examples[index] for index in batch] for batch in some]


def _seed(seed: int, step: int, rank: int) -> None:
    """Seed what dropout draws in a step."""
    torch.manual_seed(random.Random(f"{seed}/{step}/{rank}").getrandbits(63))  # noqa: S311


def lr_at(step: int, n_steps: int, highest: float, warmup: float) -> float:
    """Learning rate of a step, counted from 0: up in a line for a share `warmup` of all steps, down by a cosine."""
    n_warmup = round(warmup * n_steps)
    if step < n_warmup:
        return highest * (step + 1) / (n_warmup + 1)
    return highest * 0.5 * (1 + math.cos(math.pi * (step - n_warmup) / (n_steps - n_warmup)))


def answer_loss(model: Any, batch: Batch, pictures: Sequence[torch.Tensor]) -> torch.Tensor:
    """Summed cross-entropy of the supervised tokens; logits are computed for these only.

    Args:
        model: a LlavaOnevisionForConditionalGeneration, LoRA layers inside or not.
        pictures: features of the batch's pictures, (tokens, hidden size) each.
    """
    device = model.device
    ids, supervised = batch.ids.to(device), batch.supervised.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=model.dtype == torch.bfloat16):
        found = model.model(ids, mm_encoder_outputs=as_pictures(pictures), use_cache=False)
        is_next = supervised[:, 1:]
        logits = model.lm_head(found.last_hidden_state[:, :-1][is_next])
    return functional.cross_entropy(logits.float(), ids[:, 1:][is_next], reduction="sum")


@torch.no_grad()
def mean_loss(
    model: Any, examples: Sequence[Example], features: Features, batch: int, pad_id: int, processes: Processes = ALONE
) -> float:
    """Mean loss per supervised token, with dropout off."""
    was_training = model.training
    model.eval()
    total, n_supervised = 0.0, 0
    for start in processes.share(range(0, len(examples), batch)):
        together = collate(examples[start : start + batch], pad_id)
        total += answer_loss(model, together, features(together.pictures)).item()
        n_supervised += int(together.supervised.sum())
    model.train(was_training)
    total, n_supervised_all = processes.sum(total, n_supervised)
    return total / n_supervised_all
