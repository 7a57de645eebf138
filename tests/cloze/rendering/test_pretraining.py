"""The miniature learns: a smoke test of what makes the sample's own, and what those weights can draw."""

import math

import pytest

from cloze.errors import SettingsError
from cloze.rendering.diffusion import load_painter
from cloze.rendering.pretraining import PretrainSdSettings, pretrain_sd
from cloze.rendering.scenes import SHOWN
from tests.cloze.model.conftest import make_workspace

CHANCE = sum(math.log(len(values)) for values in SHOWN.values())


def test_a_few_steps_lower_the_loss_and_leave_a_base_that_draws(tmp_path):
    curve: dict[int, dict[str, float]] = {}
    workspace = make_workspace(tmp_path / "out", curve)
    metrics = pretrain_sd(PretrainSdSettings(scenes=64, words_steps=40, steps=30, batch=8, average=0.5), workspace)
    losses = [curve[step]["train/loss"] for step in sorted(curve)]
    assert len(losses) == 3
    assert losses[-1] < 0.9 * losses[0]
    assert metrics["words/loss_final"] < 0.7 * CHANCE
    assert metrics["parameters"] < 4e6
    load_painter(str(workspace.out / "base"), lora=None, precision="fp32", memory="none")


@pytest.mark.parametrize(
    ("name", "value"), [("scenes", 0), ("words_steps", 0), ("steps", 0), ("lr", 0.0), ("average", 1.0)]
)
def test_settings_that_cannot_be_are_refused(name, value):
    with pytest.raises(SettingsError, match=name):
        PretrainSdSettings(**{name: value})
