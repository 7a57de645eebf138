"""One training of a LoRA as a whole: its loss, the loop with its curves and pictures, its checkpoints and its end."""

import logging
import math
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional
from tqdm import tqdm

from cloze.errors import ClozeError
from cloze.model.checkpoints import Checkpoints
from cloze.model.curve import Curve
from cloze.model.loop import MAX_GRAD_NORM, lr_at
from cloze.model.optimizers import make_optimizer
from cloze.model.prefetch import ahead
from cloze.model.resuming import Resumable
from cloze.model.stopping import ask_for_requeue, stop_request
from cloze.rendering.buckets import batches, fitted
from cloze.rendering.captioned import Captioned, Chosen
from cloze.rendering.denoising import level_weights, training_scheduler, wanted
from cloze.rendering.diffusion import DTYPES, How, Painter, draw
from cloze.rendering.sd_settings import FinetuneSdSettings
from cloze.stage import StoppedError, Workspace

if TYPE_CHECKING:
    from cloze.data.images import ImageFolder

logger = logging.getLogger(__name__)

_WARMUP = 0.05  # share of the steps
_N_SHOWN = 4  # validation pictures
_SHOWN_STEPS, _SHOWN_GUIDANCE = 20, 4.0
_SLOW_S = 60.0  # of a whole training; above it a person is told how long it will take


class _Step(NamedTuple):
    """A step that is to be done: its number from 0, its panels, and their pictures (n, 3, height, width) in [-1, 1]."""

    number: int
    panels: list[Captioned]
    pictures: torch.Tensor


class Session:
    """One training: the loop with its curves, pictures and checkpoints."""

    def __init__(
        self,
        settings: FinetuneSdSettings,
        workspace: Workspace,
        painter: Painter,
        images: "ImageFolder",
        chosen: Chosen,
    ) -> None:
        self._settings, self._workspace, self._painter = settings, workspace, painter
        self._images, self._chosen = images, chosen
        self._unet = painter.pipeline.unet
        self._scheduler = training_scheduler(painter.pipeline)
        weights = {name: weight for name, weight in self._unet.named_parameters() if weight.requires_grad}
        self._weights = list(weights.values())
        self._optimizer = make_optimizer("adamw", self._weights, settings.lr)
        decides = ("steps", "resolution", "batch", "lr", "no_caption", "snr", "seed")
        this = {name: value for name, value in asdict(settings).items() if name in decides}
        this |= {"examples": len(chosen.train), "base": painter.digest}
        self._kept = Resumable(Checkpoints(workspace.checkpoints), weights, self._optimizer, this)

    def train(self) -> dict[str, float]:
        """Train to the end; the figures to log.

        Raises:
            StoppedError: a signal or a file asked to stop; a checkpoint was saved.
            ClozeError: the loss is not a number.
        """
        n_steps = self._settings.steps
        done, curve = self._kept.take_up(self._workspace.log_metrics)
        if done == 0:
            self._validate(0, curve)
        saved_at = time.monotonic()
        with (
            stop_request() as stop,
            closing(ahead(self._steps(done), self._loaded)) as steps,
            tqdm(total=n_steps, initial=done, unit="step", disable=None) as bar,
        ):
            for step in steps:
                number = step.number + 1
                self._take(step, curve)
                bar.update()
                if self._is_validated(number):
                    self._validate(number, curve)
                is_due = time.monotonic() - saved_at >= 60 * self._settings.save_minutes
                if stop.reason or is_due or number == n_steps:
                    self._kept.save(number, curve)
                    saved_at = time.monotonic()
                if stop.reason and number < n_steps:
                    said = f"stopped after step {number} ({stop.reason}); a checkpoint was saved"
                    again = "word is left to queue the job again" if ask_for_requeue() else "the same command goes on"
                    raise StoppedError(f"{said}; {again}")
        figures = {"steps": n_steps, "steps_before_resume": done, "train/loss_final": curve.final_loss}
        losses = curve.validation_losses
        return {**figures, "val/loss_base": losses[0], "val/loss_final": losses[-1]} if losses else figures

    def _steps(self, done: int) -> Iterator[tuple[int, list[Captioned]]]:
        """Steps that are left, with their panels."""
        shapes = [each.shape for each in self._chosen.train]
        epoch, order = -1, batches(shapes, self._settings.batch, self._settings.seed, 0)
        per_epoch = len(order)
        for number in range(done, self._settings.steps):
            if number // per_epoch != epoch:
                epoch = number // per_epoch
                order = batches(shapes, self._settings.batch, self._settings.seed, epoch)
            yield number, [self._chosen.train[index] for index in order[number % per_epoch]]

    def _loaded(self, step: tuple[int, list[Captioned]]) -> _Step:
        number, panels = step
        return _Step(number, panels, self._pictures(panels))

    def _pictures(self, panels: Sequence[Captioned]) -> torch.Tensor:
        loaded = (np.array(fitted(self._images.load(each.image), each.shape)) for each in panels)
        return torch.from_numpy(np.stack(list(loaded))).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _take(self, step: _Step, curve: Curve) -> None:
        """One step of the optimizer."""
        began = time.perf_counter()
        lr = lr_at(step.number, self._settings.steps, self._settings.lr, _WARMUP)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        loss = self._loss(step.panels, step.pictures, f"{self._settings.seed}/{step.number}", self._settings.no_caption)
        if not math.isfinite(loss.item()):
            raise ClozeError(f"the loss of step {step.number + 1} is {loss.item()}; try precision=fp32 or a lower lr")
        loss.backward()
        grad_norm = float(torch.nn.utils.clip_grad_norm_(self._weights, MAX_GRAD_NORM))
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - began
        beside = {"train/lr": lr, "train/grad_norm": grad_norm, "train/pictures_per_second": len(step.panels) / seconds}
        curve.note(step.number + 1, loss.item(), beside)
        left_s = seconds * (self._settings.steps - step.number - 1)
        if step.number == 0 and left_s > _SLOW_S:
            logger.info("a step takes %.1f s: all %d some %.1f h", seconds, self._settings.steps, left_s / 3600)

    def _loss(self, panels: Sequence[Captioned], pictures: torch.Tensor, key: str, no_caption: float) -> torch.Tensor:
        """Mean weighted squared error over some panels of one shape.

        Args:
            key: decides noise, noise levels and which panels are shown without caption.
        """
        pipeline, device = self._painter.pipeline, self._painter.pipeline.device
        generator = torch.Generator().manual_seed(random.Random(key).getrandbits(63))  # noqa: S311
        blank = torch.rand(len(panels), generator=generator) < no_caption
        captions = ["" if is_blank else each.caption for each, is_blank in zip(panels, blank, strict=True)]
        levels = torch.randint(0, self._scheduler.config.num_train_timesteps, (len(panels),), generator=generator)
        with torch.no_grad():
            told, _ = pipeline.encode_prompt(captions, device, 1, do_classifier_free_guidance=False)
            found = pipeline.vae.encode(pictures.to(device, pipeline.vae.dtype)).latent_dist
            spread = torch.randn(found.mean.shape, generator=generator).to(found.mean)
            clean = (found.mean + found.std * spread) * pipeline.vae.config.scaling_factor
        noise = torch.randn(clean.shape, generator=generator).to(clean)
        levels = levels.to(device)
        noisy = self._scheduler.add_noise(clean, noise, levels)
        with self._in_precision():
            answer = self._unet(noisy, levels, told).sample
        goal = wanted(self._scheduler, clean, noise, levels)
        errors = functional.mse_loss(answer.float(), goal.float(), reduction="none").flatten(1).mean(dim=1)
        return (errors * level_weights(self._scheduler, levels, self._settings.snr)).mean()

    def _in_precision(self) -> torch.autocast:
        """Arithmetic in the base's numbers; the LoRA's own are of 32 bits."""
        dtype = DTYPES[self._settings.precision]
        is_on = dtype is not torch.float32
        return torch.autocast(self._painter.pipeline.device.type, dtype=dtype if is_on else None, enabled=is_on)

    def _is_validated(self, number: int) -> bool:
        every = self._settings.validate
        return number == self._settings.steps or (every > 0 and number % every == 0)

    @torch.no_grad()
    def _validate(self, number: int, curve: Curve) -> None:
        """Loss on panels of the validation split, always with the same noise, and some of them drawn."""
        if not self._chosen.val:
            return
        losses = [
            self._loss([each], self._pictures([each]), f"validation/{each.sequence_id}", 0.0).item()
            for each in self._chosen.val
        ]
        curve.add_validation(number, sum(losses) / len(losses))
        shown = self._chosen.val[:_N_SHOWN]
        how = How(_SHOWN_STEPS, _SHOWN_GUIDANCE, "", self._painter.size)
        with self._in_precision():
            drawings = draw(self._painter, [each.caption for each in shown], range(len(shown)), how)
        pictures = [drawing.picture for drawing in drawings]
        true = [fitted(self._images.load(each.image), (how.size, how.size)) for each in shown]
        self._workspace.log_picture("validation", _sheet(true, pictures, how.size), number)


def _sheet(true: Sequence[Image.Image], drawn: Sequence[Image.Image | None], size: int) -> Image.Image:
    """True panels above drawn ones; grey where nothing could be drawn."""
    sheet = Image.new("RGB", (size * len(true), 2 * size), (128, 128, 128))
    for row, pictures in enumerate((true, drawn)):
        for column, picture in enumerate(pictures):
            if picture is not None:
                sheet.paste(picture, (column * size, row * size))
    return sheet
