"""Drawing: seeded, bounded by the window, and never a picture where there is none."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from cloze.errors import DataError, MissingInputError, SettingsError
from cloze.rendering.diffusion import Drawing, How, draw, load_painter
from cloze.rendering.miniature import WINDOW

HOW = How(steps=2, guidance=3.0, negative="text, letters", size=64)
PROMPT = "In the cave at night, Mara sleeps soundly"


def pixels(drawing: Drawing) -> np.ndarray:
    assert drawing.picture is not None
    return np.asarray(drawing.picture).astype(int)


def test_the_same_seed_gives_the_same_bytes_and_another_other_ones(painter):
    first, second, other = (draw(painter, [PROMPT], [seed], HOW)[0] for seed in (1, 1, 2))
    assert np.array_equal(pixels(first), pixels(second))
    assert not np.array_equal(pixels(first), pixels(other))


def test_company_changes_next_to_nothing(painter):
    alone = draw(painter, [PROMPT], [1], HOW)[0]
    together = draw(painter, [PROMPT, "a dog", "a goat"], [1, 2, 3], HOW)[0]
    assert np.abs(pixels(alone) - pixels(together)).max() <= 2


@pytest.mark.parametrize("change", [{"negative": "rain"}, {"guidance": 6.0}, {"steps": 3}])
def test_every_setting_counts(painter, change):
    usual, changed = draw(painter, [PROMPT], [1], HOW)[0], draw(painter, [PROMPT], [1], replace(HOW, **change))[0]
    assert not np.array_equal(pixels(usual), pixels(changed))


def test_what_would_be_cut_silently_is_refused(painter):
    assert painter.window == WINDOW
    with pytest.raises(ValueError, match=f"tokens where {WINDOW} fit"):
        draw(painter, ["night " * WINDOW], [1], HOW)


def test_numbers_that_are_not_finite_are_no_picture(painter, monkeypatch):
    convolution = painter.pipeline.unet.conv_out
    monkeypatch.setitem(convolution._parameters, "bias", torch.full_like(convolution.bias, torch.nan))
    assert draw(painter, [PROMPT, PROMPT], [1, 2], HOW) == [Drawing(None, "numbers")] * 2


def test_black_is_no_picture(painter, monkeypatch):
    vae = painter.pipeline.vae
    monkeypatch.setitem(vae._parameters, "mean", torch.full_like(vae.mean, -99))
    assert draw(painter, [PROMPT], [1], HOW) == [Drawing(None, "black")]


def test_what_the_bases_own_checker_withholds_is_no_picture(painter, monkeypatch):
    monkeypatch.setattr(painter.pipeline, "safety_checker", object())
    monkeypatch.setattr(
        painter.pipeline, "run_safety_checker", lambda pictures, device, dtype: (pictures, [True, False])
    )
    first, second = draw(painter, [PROMPT, PROMPT], [1, 2], HOW)
    assert (first, second.state) == (Drawing(None, "unsafe"), "ok")


def test_a_picture_can_be_started_from(painter):
    start = Image.new("RGB", (200, 300), (200, 30, 30))
    little, much = (
        draw(painter, [PROMPT], [1], replace(HOW, steps=10, strength=strength), [start])[0] for strength in (0.2, 1.0)
    )
    wanted = np.array([200, 30, 30])
    assert np.abs(pixels(little) - wanted).mean() < np.abs(pixels(much) - wanted).mean()


def test_pictures_of_other_sizes_can_be_drawn(painter):
    (drawing,) = draw(painter, [PROMPT], [1], replace(HOW, size=96))
    assert pixels(drawing).shape == (96, 96, 3)


@pytest.mark.parametrize(("precision", "memory"), [("fp16", "none"), ("fp32", "offload")])
def test_what_needs_a_gpu_says_so(sd_folder, precision, memory):
    with pytest.raises(SettingsError, match="where there is no GPU"):
        load_painter(str(sd_folder), lora=None, precision=precision, memory=memory, device="cpu")


def test_a_base_that_is_not_there_says_what_to_do(tmp_path):
    for base, message in (("nobody/no-such-base", "hf download"), (str(tmp_path), r"no model_index\.json")):
        with pytest.raises(MissingInputError, match=message):
            load_painter(base, lora=None, precision="fp32", memory="none")


def test_a_folder_that_is_no_lora_is_refused(sd_folder, tmp_path):
    shutil.copy(sd_folder / "unet" / "config.json", tmp_path)
    with pytest.raises(DataError, match="no pytorch_lora_weights"):
        load_painter(str(sd_folder), lora=tmp_path, precision="fp32", memory="none")
