"""The curves of a training run: what is logged of its steps, and what is said of it in the end."""

import logging
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from cloze.model.loop import Step
from cloze.stage import MetricsLogger

logger = logging.getLogger(__name__)

LOGGED_TIMES = 100
VALIDATED_TIMES = 5
# The reported loss is the mean of so large a last part of the steps: one step is noise, an epoch's mean is history.
FINAL_SHARE = 0.1


class Curve:
    """Takes steps, logs points of them, and can be put away and taken up again.

    Args:
        state: of the curve of the steps before, as `state` gave it; they are logged again, in case the run's end came
            before its store had them. Whoever logs leaves out what it has.
    """

    def __init__(self, n_steps: int, log_metrics: MetricsLogger, state: Mapping[str, Any] | None = None) -> None:
        self._n_steps, self._log_metrics = n_steps, log_metrics
        self._losses: list[float] = list(state["losses"]) if state else []
        self._points: list[tuple[int, dict[str, float]]] = []
        for step, values in state["points"] if state else []:
            self._log(step, values)

    @property
    def state(self) -> dict[str, Any]:
        """What `__init__` takes."""
        return {"losses": self._losses, "points": self._points}

    @property
    def validation_loss(self) -> float | None:
        """The last one."""
        found = self.validation_losses
        return found[-1] if found else None

    @property
    def validation_losses(self) -> list[float]:
        """All of them, in the order of their steps."""
        return [values["val/loss"] for _, values in self._points if "val/loss" in values]

    @property
    def final_loss(self) -> float:
        """Mean training loss of the last tenth of the steps."""
        last = self._losses[-max(1, round(FINAL_SHARE * self._n_steps)) :]
        return sum(last) / len(last)

    def is_validated(self, step: int) -> bool:
        """Whether the validation loss is due after this step."""
        return step % -(-self._n_steps // VALIDATED_TIMES) == 0 or step == self._n_steps

    def add(self, step: Step) -> None:
        """Take a step; now and then it is logged, with the mean loss of the steps since the last time."""
        beside = {
            "train/lr": step.lr,
            "train/grad_norm": step.grad_norm,
            "train/tokens_per_second": step.n_tokens / step.seconds,
            "train/data_wait": step.waited / step.seconds,
        }
        self.note(step.number, step.loss, beside)

    def note(self, number: int, loss: float, beside: Mapping[str, float]) -> None:
        """Take the loss of a step and what is logged beside it; as `add`."""
        self._losses.append(loss)
        every = -(-self._n_steps // LOGGED_TIMES)
        if number % every and number != self._n_steps:
            return
        recent = self._losses[-every:]
        mean = sum(recent) / len(recent)
        self._log(number, {"train/loss": mean, **beside, "train/memory_gb": _peak_gb()})
        logger.info("step %d of %d: loss %.3f", number, self._n_steps, mean)

    def add_validation(self, step: int, loss: float) -> None:
        """Take the validation loss after a step."""
        self._log(step, {"val/loss": loss})

    def _log(self, step: int, values: dict[str, float]) -> None:
        self._points.append((step, values))
        self._log_metrics(values, step)


def _peak_gb() -> float:
    """The most memory held so far, in GB: the accelerator's, else the process's."""
    return (torch.cuda.max_memory_allocated() if torch.cuda.is_available() else peak_bytes()) / 1e9


def peak_bytes() -> int:
    """The most memory that this process held. `getrusage` would count what its parent held, too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
