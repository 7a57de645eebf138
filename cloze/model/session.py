"""One training run as a whole: the loop with its curves, its checkpoints and its end."""

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict

from tqdm import tqdm

from cloze.model.checkpoints import Checkpoints
from cloze.model.conversation import Example
from cloze.model.finetune_settings import FinetuneSettings
from cloze.model.loop import Schedule, mean_loss, train
from cloze.model.objectives import Objective
from cloze.model.optimizers import make_optimizer
from cloze.model.processes import Processes
from cloze.model.resuming import Resumable
from cloze.model.stopping import ask_for_requeue, stop_request
from cloze.stage import StoppedError, Workspace

logger = logging.getLogger(__name__)


class Session:
    """Trains what requires a gradient in the objective's model, from the newest checkpoint or from the beginning."""

    def __init__(
        self, settings: FinetuneSettings, workspace: Workspace, processes: Processes, objective: Objective
    ) -> None:
        self._workspace, self._processes, self._objective = workspace, processes, objective
        self._schedule = Schedule(
            epochs=settings.epochs,
            batch=settings.batch,
            accumulate=settings.accumulate,
            lr=settings.lr,
            warmup=settings.warmup,
            seed=settings.seed,
        )
        self._weights = {name: p for name, p in objective.model.named_parameters() if p.requires_grad}
        self._optimizer = make_optimizer(settings.optimizer, list(self._weights.values()), settings.lr)
        self._checkpoints = Checkpoints(workspace.checkpoints)
        self._save_s = 60 * settings.save_minutes

    def train(self, examples: Sequence[Example], held_out: Sequence[Example]) -> dict[str, float]:
        """Train to the end; the figures to log.

        Raises:
            StoppedError: a signal or a file asked to stop; a checkpoint was saved.
            DataError: the checkpoint is of another run.
        """
        n_steps = self._schedule.steps(len(examples))
        this = {**asdict(self._schedule), "examples": len(examples), "steps": n_steps}
        kept = Resumable(self._checkpoints, self._weights, self._optimizer, this)
        done, curve = kept.take_up(self._workspace.log_metrics)
        saved_at = time.monotonic()
        steps = train(self._objective, examples, self._schedule, self._optimizer, done=done, processes=self._processes)
        # None: the bar is shown on a terminal only.
        with (
            stop_request() as stop,
            closing(steps),
            tqdm(total=n_steps, initial=done, unit="step", disable=None) as bar,
        ):
            for step in steps:
                curve.add(step)
                bar.update()
                if held_out and curve.is_validated(step.number):
                    val_loss = mean_loss(self._objective, held_out, self._schedule.batch, self._processes)
                    curve.add_validation(step.number, val_loss)
                is_due = time.monotonic() - saved_at >= self._save_s
                n_stops, n_due = self._processes.sum(bool(stop.reason), is_due)  # what one knows, all act upon
                if n_stops or n_due or step.number == n_steps:
                    if self._processes.rank == 0:
                        kept.save(step.number, curve)
                    saved_at = time.monotonic()
                if n_stops and step.number < n_steps:
                    raise self._stopped(step.number, stop.reason)
        figures = {"steps": n_steps, "steps_before_resume": done, "train/loss_final": curve.final_loss}
        return figures if curve.validation_loss is None else {**figures, "val/loss_final": curve.validation_loss}

    def _stopped(self, step: int, reason: str) -> StoppedError:
        said = f"stopped after step {step} ({reason or 'another process was asked'}); a checkpoint was saved"
        if self._processes.rank == 0 and ask_for_requeue():
            return StoppedError(f"{said}, and word left to queue the job again")
        return StoppedError(f"{said}: the same command goes on from it")
