"""What the U-Net is asked for follows the base's scheduler, and levels weigh as min-SNR has it."""

import pytest
import torch
from diffusers import DDPMScheduler

from cloze.errors import DataError
from cloze.rendering.denoising import level_weights, training_scheduler, wanted

KINDS = ("epsilon", "sample", "v_prediction")
LEVELS = torch.tensor([0, 10, 300, 700, 999])


def scheduler(kind: str) -> DDPMScheduler:
    return DDPMScheduler(prediction_type=kind, beta_schedule="squaredcos_cap_v2")


@pytest.mark.parametrize("kind", KINDS)
def test_any_answer_tells_the_clean_picture(kind):
    """Given what is wanted and the noisy picture, the scheduler finds the clean one again."""
    clean, noise = torch.rand(1, 3, 4, 4) * 1.8 - 0.9, torch.randn(1, 3, 4, 4)
    schedule = scheduler(kind)
    level = torch.tensor([300])
    noisy = schedule.add_noise(clean, noise, level)
    schedule.set_timesteps(1000)
    found = schedule.step(wanted(schedule, clean, noise, level), 300, noisy, generator=torch.Generator())
    assert torch.allclose(found.pred_original_sample, clean, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_levels_weigh_the_same_whatever_is_predicted(kind):
    """Hang et al. 2023: min(SNR, 5) of the clean picture's error; the other two are that error times SNR, SNR + 1."""
    schedule = scheduler(kind)
    kept = schedule.alphas_cumprod[LEVELS]
    snr = kept / (1 - kept)
    per_clean = level_weights(schedule, LEVELS, 5.0) * {"epsilon": snr, "sample": 1, "v_prediction": snr + 1}[kind]
    assert torch.allclose(per_clean, snr.clamp(max=5.0), rtol=1e-4)
    assert level_weights(schedule, LEVELS, 0).tolist() == [1.0] * len(LEVELS)


def test_a_level_of_nothing_but_noise_has_a_finite_weight():
    schedule = DDPMScheduler(prediction_type="epsilon", rescale_betas_zero_snr=True)
    assert torch.isfinite(level_weights(schedule, LEVELS, 5.0)).all()


def test_the_miniature_predicts_clean_pictures(painter):
    clean, noise = torch.ones(1), torch.zeros(1)
    assert wanted(training_scheduler(painter.pipeline), clean, noise, LEVELS[:1]) is clean


def test_an_unknown_prediction_is_refused():
    with pytest.raises(DataError, match="prediction_type is flow; it must be epsilon, sample or v_prediction"):
        wanted(scheduler("flow"), LEVELS, LEVELS, LEVELS)
