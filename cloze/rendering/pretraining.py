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
    import torch
    from torch import Tensor

    from cloze.sample.grammar import Scene

logger = logging.getLogger(__name__)

_LOGGED_EVERY = 10
_WARMUP = 100  # steps
_NO_CAPTION = 0.1  # share of examples without one, for guidance without a classifier (Ho and Salimans 2022)
# Noise levels are shifted towards much noise, where only the caption tells what to draw (Esser et al. 2024, eq. 23).
_SHIFT = 3.0
_FIGURE = 8.0  # times as much counts an error where the figure stands, in a fifth of the picture
_WORDS_BATCH, _WORDS_LR = 64, 1e-3


@dataclass(frozen=True, kw_only=True)
class PretrainSdSettings:
    """What a user may set when the sample's Stable Diffusion is made."""

    scenes: int = setting("Scenes to draw and learn from.", default=8000)
    words_steps: int = setting("Steps in which the text encoder learns to tell scenes apart.", default=200)
    steps: int = setting("Steps of the U-Net.", default=2000)
    batch: int = setting("Pictures of a step.", default=32)
    lr: float = setting("Highest learning rate.", default=1.5e-3)
    average: float = setting("Weights are averaged over steps with this decay.", default=0.995)
    seed: int = setting("Decides scenes, first weights, order and noise.", default=1001)
    threads: int = setting("Processor threads.", default=1)

    def __post_init__(self) -> None:
        for name in ("scenes", "words_steps", "steps", "batch", "threads"):
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
    scenes = [random_scene(f"pretrain_sd {settings.seed} {i}") for i in range(settings.scenes)]
    drawn = []
    with progress(len(scenes), "scene") as tell:
        for scene in scenes:
            drawn.append(torch.from_numpy(picture(scene, SIZE)).permute(2, 0, 1))
            tell(1)
    pictures = torch.stack(drawn)
    captions = [seen(scene) for scene in scenes]

    pipeline = make_pipeline(make_tokenizer(captions), scaled(pictures[:2000]), settings.seed)
    told, words_loss = _learn_words(pipeline, scenes, captions, settings)
    losses = []
    for step, loss in enumerate(_train(pipeline, pictures, told, settings), 1):
        losses.append(loss)
        if step % _LOGGED_EVERY == 0 or step == settings.steps:
            recent = losses[-_LOGGED_EVERY:]
            workspace.log_metrics({"train/loss": sum(recent) / len(recent)}, step)
        if step % (10 * _LOGGED_EVERY) == 0:
            logger.info("step %d of %d: loss %.4f", step, settings.steps, sum(losses[-100:]) / len(losses[-100:]))
    save_pipeline(pipeline, workspace.out / "base")
    last = losses[-max(1, len(losses) // 10) :]
    parameters = sum(p.numel() for part in (pipeline.unet, pipeline.text_encoder) for p in part.parameters())
    return {"words/loss_final": words_loss, "train/loss_final": sum(last) / len(last), "parameters": parameters}


def scaled(pictures: "Tensor") -> "Tensor":
    """Bytes as numbers in [-1, 1], as autoencoders take them."""
    return pictures.float() / 127.5 - 1


def _learn_words(
    pipeline: Any, scenes: "list[Scene]", captions: list[str], settings: PretrainSdSettings
) -> "tuple[Tensor, float]":
    """Train the text encoder to tell from a caption what its picture shows, each part by a linear layer on top.

    Stable Diffusion's text encoder, too, knew words before there was a U-Net (CLIP: Radford et al. 2021).

    Returns:
        The captions as the encoder gives them, the empty one last: (n + 1, window, hidden); and the last loss.
    """
    import torch
    from torch.nn import Linear, functional

    from cloze.rendering.scenes import SHOWN

    text, tokenizer = pipeline.text_encoder, pipeline.tokenizer
    tokens = tokenizer(
        [*captions, ""], padding="max_length", truncation=True, max_length=tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids  # fmt: skip
    truth = {
        name: torch.tensor([values.index(getattr(scene, name)) for scene in scenes]) for name, values in SHOWN.items()
    }
    tops = {name: Linear(text.config.hidden_size, len(values)) for name, values in SHOWN.items()}
    weights = [*text.parameters(), *(weight for top in tops.values() for weight in top.parameters())]
    optimizer = torch.optim.AdamW(weights, lr=_WORDS_LR)
    random = torch.Generator().manual_seed(settings.seed)
    loss = torch.zeros(())
    text.train()
    for _ in range(settings.words_steps):
        chosen = torch.randint(len(scenes), (_WORDS_BATCH,), generator=random)
        pooled = text(tokens[chosen]).pooler_output
        losses = [functional.cross_entropy(tops[name](pooled), truth[name][chosen]) for name in SHOWN]
        loss = torch.stack(losses).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    text.eval().requires_grad_(False)
    with torch.no_grad():
        return torch.cat([text(part).last_hidden_state for part in tokens.split(500)]), float(loss)


def _train(pipeline: Any, pictures: "Tensor", told: "Tensor", settings: PretrainSdSettings) -> Iterator[float]:
    """Train the U-Net to tell the picture from a noisy one (x0-prediction); gives the loss of each step.

    At the end the pipeline has the averaged weights.

    Args:
        pictures: (n, 3, size, size) bytes.
        told: (n + 1, window, hidden) encoded captions, the empty one last.
    """
    import torch
    from diffusers.training_utils import EMAModel

    unet, scheduler = pipeline.unet, pipeline.scheduler
    optimizer = torch.optim.AdamW(unet.parameters(), lr=settings.lr, weight_decay=0.01, fused=True)
    average = EMAModel(unet.parameters(), decay=settings.average, use_ema_warmup=False)
    with torch.no_grad():
        latents = torch.cat([pipeline.vae.encode(scaled(part)).latent_dist.mode() for part in pictures.split(500)])
    weight = _weight_of_places(pictures.shape[-1], latents.shape[-1])
    random = torch.Generator().manual_seed(settings.seed)
    order = torch.randperm(len(latents), generator=random)
    unet.train()
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * _share(step, settings.steps)
        at = torch.arange(step * settings.batch, (step + 1) * settings.batch) % len(latents)
        if at[0] > at[-1] or at[0] == 0:
            order = torch.randperm(len(latents), generator=random)
        chosen = order[at]
        captions = torch.where(torch.rand(len(chosen), generator=random) < _NO_CAPTION, len(latents), chosen)
        clean = latents[chosen]
        noise = torch.randn(clean.shape, generator=random)
        levels = _noise_levels(len(chosen), scheduler.config.num_train_timesteps, random)
        noisy = scheduler.add_noise(clean, noise, levels).contiguous(memory_format=torch.channels_last)
        found = unet(noisy, levels, told[captions]).sample
        loss = ((found - clean).square() * weight).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        average.step(unet.parameters())
        yield float(loss.detach())
    average.copy_to(unet.parameters())
    unet.eval()


def _weight_of_places(size: int, side: int) -> "Tensor":
    """How much an error counts by its place in the latents: (side, side), with a mean of 1."""
    import torch
    from torch.nn import functional

    from cloze.rendering.scenes import figure_place

    place = torch.from_numpy(figure_place(size)).float()
    weight = 1 + (_FIGURE - 1) * functional.avg_pool2d(place[None], size // side)[0]
    return weight / weight.mean()


def _noise_levels(n: int, n_levels: int, random: "torch.Generator") -> "Tensor":
    """(n,) levels of noise to learn from, more of them noisy."""
    import torch

    share = torch.rand(n, generator=random)
    return (_SHIFT * share / (1 + (_SHIFT - 1) * share) * n_levels).long().clamp(max=n_levels - 1)


def _share(step: int, n_steps: int) -> float:
    """Of the highest learning rate: rising for some steps, then falling as half a cosine."""
    if step < _WARMUP:
        return (step + 1) / _WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - _WARMUP) / max(1, n_steps - _WARMUP)))
