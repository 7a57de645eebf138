"""Going on with a training: what trains and what the optimizer remembers of it, to a checkpoint and back."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cloze.errors import DataError
from cloze.model.checkpoints import Checkpoint, Checkpoints
from cloze.model.curve import Curve
from cloze.model.optimizers import load_optimizer_state, optimizer_state
from cloze.stage import MetricsLogger

logger = logging.getLogger(__name__)

_OPTIMIZER = "optimizer/"


@dataclass(frozen=True)
class Resumable:
    """A training that can be stopped after any step.

    Attributes:
        weights: what trains, by name.
        this: what the training is, its number of `steps` among it; a checkpoint of another is refused.
    """

    checkpoints: Checkpoints
    weights: Mapping[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    this: Mapping[str, Any]

    def take_up(self, log_metrics: MetricsLogger) -> tuple[int, Curve]:
        """Steps that are done, and their curve; weights and optimizer are then as they were after these.

        Raises:
            DataError: the checkpoint is of another training.
        """
        n_steps = self.this["steps"]
        found = self.checkpoints.newest()
        if found is None:
            return 0, Curve(n_steps, log_metrics)
        if found.notes["run"] != self.this:
            problem = f"a checkpoint of another training ({found.notes['run']}, and this is {self.this})"
            raise DataError(self.checkpoints.folder, problem, "remove it, or train what it belongs to")
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(found.tensors[f"weights/{name}"])
        kept = {name.removeprefix(_OPTIMIZER): t for name, t in found.tensors.items() if name.startswith(_OPTIMIZER)}
        load_optimizer_state(self.optimizer, kept, found.notes["optimizer"])
        logger.info("going on from the checkpoint after step %d of %d", found.step, n_steps)
        return found.step, Curve(n_steps, log_metrics, found.notes["curve"])

    def save(self, step: int, curve: Curve) -> None:
        """Write a checkpoint; order, learning rate and all that is drawn follow from the step's number and the seed."""
        kept, values = optimizer_state(self.optimizer)
        tensors: dict[str, torch.Tensor] = {f"weights/{name}": weight for name, weight in self.weights.items()}
        tensors |= {f"{_OPTIMIZER}{name}": tensor for name, tensor in kept.items()}
        notes = {"run": dict(self.this), "optimizer": values, "curve": curve.state}
        self.checkpoints.save(Checkpoint(step, tensors, notes))
