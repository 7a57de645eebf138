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

from cloze.model.batches import epoch_order
from cloze.model.conversation import Example
from cloze.model.objectives import Objective
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
    """What one step of the optimizer showed.

    Attributes:
        seconds: that it took, and of these `waited` for its data.
    """

    number: int
    n_steps: int
    loss: float
    lr: float
    grad_norm: float
    n_tokens: int
    seconds: float
    waited: float


def train(
    objective: Objective,
    examples: Sequence[Example],
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
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
    for number, batches, own_share in _ready(objective, examples, schedule, done, processes):
        waited = time.perf_counter() - started
        _seed(schedule.seed, number, processes.rank)
        lr = lr_at(number, n_steps, schedule.lr, schedule.warmup)
        for group in optimizer.param_groups:
            group["lr"] = lr
        n_supervised = sum(sum(example.supervised) for batch in batches for example in batch)
        own = 0.0
        for prepared in own_share:
            loss = objective.loss(prepared) / n_supervised
            loss.backward()
            own += loss.item()
        processes.sum_gradients(parameters)
        (total,) = processes.sum(own)
        grad_norm = float(torch.nn.utils.clip_grad_norm_(parameters, MAX_GRAD_NORM))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        n_tokens = sum(len(example.ids) for batch in batches for example in batch)
        yield Step(number + 1, n_steps, total, lr, grad_norm, n_tokens, time.perf_counter() - started, waited)
        started = time.perf_counter()


def _ready(
    objective: Objective, examples: Sequence[Example], schedule: Schedule, done: int, processes: Processes
) -> Iterator[tuple[int, list[list[Example]], list[Any]]]:
    """Steps that are left, counted from 0, with their batches; this process's share is prepared ahead in threads."""

    def prepare(step: tuple[int, list[list[Example]]]) -> tuple[int, list[list[Example]], list[Any]]:
        number, batches = step
        return number, batches, [objective.prepare(batch) for batch in processes.share(batches)]

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


@torch.no_grad()
def mean_loss(objective: Objective, examples: Sequence[Example], batch: int, processes: Processes = ALONE) -> float:
    """Mean loss per supervised token, with dropout off."""
    model = objective.model
    was_training = model.training
    model.eval()
    total, n_supervised = 0.0, 0
    for start in processes.share(range(0, len(examples), batch)):
        some = examples[start : start + batch]
        total += objective.loss(objective.prepare(some)).item()
        n_supervised += sum(sum(example.supervised) for example in some)
    model.train(was_training)
    total, n_supervised_all = processes.sum(total, n_supervised)
    return total / n_supervised_all
