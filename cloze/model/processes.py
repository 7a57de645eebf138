"""Several processes that train one adapter together: what each does, and how they agree.

Started by `torchrun`, every process runs the same program on the same steps and takes its share of a step's batches.
Gradients are summed once a step, so that all hold the same weights throughout; LoRA weights are few, and that sum is
all that travels.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from cloze.errors import SettingsError
from cloze.stage import rank


@dataclass(frozen=True)
class Processes:
    """This process among those that train together; the one of rank 0 speaks for all."""

    rank: int = 0
    size: int = 1

    def share(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items that this process works on."""
        return items[self.rank :: self.size]

    def sum(self, *values: float) -> list[float]:
        """Sums over all processes."""
        if self.size == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=_device())
        distributed.all_reduce(total)
        return [float(value) for value in total]

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """Give every process the sum of all their gradients; one that had no batch adds nothing."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(together)
        for gradient, part in zip(gradients, together.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def require_divisible(self, accumulate: int) -> None:
        """Refuse a step that cannot be shared out evenly.

        Raises:
            SettingsError: some process would have nothing to do.
        """
        if accumulate % self.size:
            raise SettingsError("accumulate", accumulate, f"a multiple of the {self.size} processes that share a step")


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """This process among those of `torchrun`; alone where that did not start it."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    is_cuda = torch.cuda.is_available()
    if is_cuda:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if is_cuda else "gloo")
    try:
        yield Processes(rank(), size)
    finally:
        distributed.destroy_process_group()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
