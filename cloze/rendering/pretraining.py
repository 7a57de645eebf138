"""Pretraining: the sample's miniature of Stable Diffusion, from nothing, on drawn scenes and what they show.

It learns from scenes that are put together at random, without lettering, and never sees a panel of the study's world.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cloze.errors import SettingsError
from cloze.progress import progress
from cloze.settings import setting
from cloze.stage import Workspace

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

_LOGGED_EVERY = 10
_WARMUP = 100  # steps
_NO_CAPTION = 0.1  # share of examples without one, for guidance without a classifier (Ho and Salimans 2022)


@dataclass(frozen=True, kw_only=True)
class PretrainSdSettings:
    """What a user may set when the sample's Stable Diffusion is made."""

    scenes: int = setting("Scenes to draw and learn from.", default=8000)
    steps: int = setting("Steps.", default=1200)
    batch: int = setting("Pictures of a step.", default=32)
    lr: float = setting("Highest learning rate.", default=1.5e-3)
    average: float = setting("Weights are averaged over steps with this decay.", default=0.995)
    seed: int = setting("Decides scenes, first weights, order and noise.", default=1001)
    threads: int = setting("Processor threads.", default=1)

    def __post_init__(self) -> None:
        for name in ("scenes", "steps", "batch", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(name, getattr(self, name), "1 or more")
        if not self.lr > 0:
            raise SettingsError("lr", self.lr, "more than 0")
        if not 0 <= self.average < 1:
            raise SettingsError("average", self.average, "0 or more, below 1")


def pretrain_sd(settings: PretrainSdSettings, workspace: Workspace) -> dict[str, float]:
    """Make a miniature Stable Diffusion from nothing and leave it in `base/`.

    With the defaults this is what ships in `cloze/sample/weights/sd`.

    Returns:
        Mean loss of the last tenth of the steps, and the share of a picture's variance that its latents keep.
    """
    import torch

    from cloze.rendering.miniature import SIZE, make_pipeline, make_tokenizer, save_pipeline
    from cloze.rendering.scenes import picture, random_scene, seen

    torch.set_num_threads(settings.threads)
    keys = [f"pretrain_sd {settings.seed} {i}" for i in range(settings.scenes)]
    scenes = [random_scene(key) for key in keys]
    drawn = []
    with progress(len(keys), "scene") as tell:
        for scene, key in zip(scenes, keys, strict=True):
            drawn.append(torch.from_numpy(picture(scene, key, SIZE)).permute(2, 0, 1))
            tell(1)
    pictures = torch.stack(drawn)
    captions = [seen(scene) for scene in scenes]

    pipeline = make_pipeline(make_tokenizer(captions), scaled(pictures[:2000]), settings.seed)
    losses = []
    for step, loss in enumerate(_train(pipeline, pictures, captions, settings), 1):
        losses.append(loss)
        if step % _LOGGED_EVERY == 0 or step == settings.steps:
            recent = losses[-_LOGGED_EVERY:]
            workspace.log_metrics({"train/loss": sum(recent) / len(recent)}, step)
        if step % (10 * _LOGGED_EVERY) == 0:
            logger.info("step %d of %d: loss %.4f", step, settings.steps, sum(losses[-100:]) / len(losses[-100:]))
    save_pipeline(pipeline, workspace.out / "base")
    last = losses[-max(1, len(losses) // 10) :]
    parameters = sum(p.numel() for part in (pipeline.unet, pipeline.text_encoder) for p in part.parameters())
    return {"train/loss_final": sum(last) / len(last), "parameters": parameters}


def scaled(pictures: "Tensor") -> "Tensor":
    """Bytes as numbers in [-1, 1], as autoencoders take them."""
    return pictures.float() / 127.5 - 1


def _train(pipeline: Any, pictures: "Tensor", captions: list[str], settings: PretrainSdSettings) -> Iterator[float]:
    """Train U-Net and text encoder to tell the picture from a noisy one (x0-prediction); gives the loss of each step.

    At the end the pipeline has the averaged weights.
    """
    import torch
    from diffusers.training_utils import EMAModel
    from torch.nn import functional

    unet, text = pipeline.unet, pipeline.text_encoder
    weights = [*unet.parameters(), *text.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=settings.lr, weight_decay=0.01, fused=True)
    average = EMAModel(weights, decay=settings.average, use_ema_warmup=False)
    with torch.no_grad():
        latents = torch.cat([pipeline.vae.encode(scaled(part)).latent_dist.mode() for part in pictures.split(500)])
    tokens = pipeline.tokenizer(
        [*captions, ""], padding="max_length", truncation=True, max_length=pipeline.tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids  # fmt: skip
    scheduler, random = pipeline.scheduler, torch.Generator().manual_seed(settings.seed)
    n_levels = scheduler.config.num_train_timesteps
    order = torch.randperm(len(latents), generator=random)
    unet.train()
    text.train()
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * _share(step, settings.steps)
        at = torch.arange(step * settings.batch, (step + 1) * settings.batch) % len(latents)
        if at[0] > at[-1] or at[0] == 0:
            order = torch.randperm(len(latents), generator=random)
        chosen = order[at]
        told = torch.where(torch.rand(len(chosen), generator=random) < _NO_CAPTION, len(captions), chosen)
        clean = latents[chosen]
        noise = torch.randn(clean.shape, generator=random)
        levels = torch.randint(0, n_levels, (len(chosen),), generator=random)
        noisy = scheduler.add_noise(clean, noise, levels).contiguous(memory_format=torch.channels_last)
        found = unet(noisy, levels, text(tokens[told]).last_hidden_state).sample
        loss = functional.mse_loss(found, clean)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.step(weights)
        yield float(loss.detach())
    average.copy_to(weights)
    unet.eval()
    text.eval()


def _share(step: int, n_steps: int) -> float:
    """Of the highest learning rate: rising for some steps, then falling as half a cosine."""
    if step < _WARMUP:
        return (step + 1) / _WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - _WARMUP) / max(1, n_steps - _WARMUP)))
