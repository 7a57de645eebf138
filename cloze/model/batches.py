"""Which examples are trained on together: order, length groups, padding."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from cloze.model.conversation import Example

# Examples are sorted by length within runs of so many batches: little padding, and still another order every epoch.
_SORTED_TOGETHER = 16


@dataclass(frozen=True)
class Batch:
    """Examples side by side, padded on the right.

    Padding needs no attention mask there: no token looks at what comes after it, and padding carries no loss.

    Attributes:
        sequence_ids: of the rows.
        ids: (rows, longest) token ids.
        supervised: same shape; True where a token carries loss.
        pictures: names of all rows' pictures, row by row.
        n_tokens: tokens without padding.
    """

    sequence_ids: tuple[str, ...]
    ids: torch.Tensor
    supervised: torch.Tensor
    pictures: tuple[str | None, ...]
    n_tokens: int


def epoch_order(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the examples of each batch of an epoch; every example is in exactly one.

    Args:
        lengths: tokens of each example.
        size: examples per batch; the last may have fewer.
    """
    generator = random.Random(f"{seed}/{epoch}")  # noqa: S311
    order = list(range(len(lengths)))
    generator.shuffle(order)
    batches = []
    for start in range(0, len(order), size * _SORTED_TOGETHER):
        run = sorted(order[start : start + size * _SORTED_TOGETHER], key=lambda index: lengths[index])
        batches += [run[first : first + size] for first in range(0, len(run), size)]
    generator.shuffle(batches)
    return batches


def collate(examples: Sequence[Example], pad_id: int) -> Batch:
    """Put examples side by side."""
    longest = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), longest), pad_id)
    supervised = torch.zeros((len(examples), longest), dtype=torch.bool)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        supervised[row, : len(example.ids)] = torch.tensor(example.supervised)
    return Batch(
        sequence_ids=tuple(example.sequence_id for example in examples),
        ids=ids,
        supervised=supervised,
        pictures=tuple(name for example in examples for name in example.pictures),
        n_tokens=sum(len(example.ids) for example in examples),
    )
