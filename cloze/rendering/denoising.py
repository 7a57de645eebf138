"""What a U-Net is asked for at a noise level, and how much a level counts."""

from typing import Any

import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch import Tensor

from cloze.errors import DataError

_LEAST_SNR = 1e-8  # where a schedule ends in pure noise the ratio is 0


def training_scheduler(pipeline: Any) -> DDPMScheduler:
    """The noise schedule that a pipeline's U-Net was trained with."""
    return DDPMScheduler.from_config(pipeline.scheduler.config)


def wanted(scheduler: DDPMScheduler, clean: Tensor, noise: Tensor, levels: Tensor) -> Tensor:
    """What the U-Net is to answer, by the scheduler's prediction type.

    Args:
        clean, noise: (n, channels, height, width) latents and noise.
        levels: (n,) noise levels, 0 the least.

    Raises:
        DataError: a prediction type that is not known.
    """
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return clean
    if kind == "v_prediction":
        return scheduler.get_velocity(clean, noise, levels)
    raise DataError("the base's scheduler", f"prediction_type is {kind}; it must be epsilon, sample or v_prediction")


def level_weights(scheduler: DDPMScheduler, levels: Tensor, most: float) -> Tensor:
    """Weight of the squared error at each level, (n,): min-SNR (Hang et al. 2023, arXiv:2303.09556, section 3.4).

    With SNR the ratio of signal to noise: min(SNR, most) of the error of the clean picture, which is as much as that
    over SNR of the error of the noise, and over SNR + 1 of the error of the velocity.

    Args:
        most: gamma of the paper; 0 weighs all levels alike.
    """
    if most == 0:
        return torch.ones(len(levels), device=levels.device)
    snr = compute_snr(scheduler, levels).clamp_min(_LEAST_SNR)
    capped = snr.clamp_max(most)
    return capped / {"sample": 1.0, "epsilon": snr, "v_prediction": snr + 1}[scheduler.config.prediction_type]
