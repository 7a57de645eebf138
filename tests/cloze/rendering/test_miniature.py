"""The miniature is what diffusers knows: its own classes, saved and loaded like any other, whatever is written."""

import json

import pytest
from diffusers import DiffusionPipeline
from hypothesis import given, settings
from hypothesis import strategies as st

from cloze.rendering.miniature import WINDOW, make_tokenizer
from cloze.rendering.patch_vae import PatchVAE
from cloze.rendering.scenes import random_scene, seen

CAPTIONS = [seen(random_scene(f"caption {i}")) for i in range(300)]


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(CAPTIONS)


def test_a_scene_fits_the_window(tokenizer):
    assert max(len(tokenizer(caption).input_ids) for caption in CAPTIONS) <= WINDOW


@settings(max_examples=50)
@given(st.text())
def test_any_text_can_be_written_without_unknown_tokens(tokenizer, text):
    ids = tokenizer(text).input_ids
    assert (ids[0], ids[-1]) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert tokenizer.unk_token_id not in ids[1:-1]


def test_it_loads_without_a_network_and_without_code_of_ours_but_the_autoencoder(sd_folder):
    index = json.loads((sd_folder / "model_index.json").read_text())
    assert [name for name, (library, _) in (i for i in index.items() if isinstance(i[1], list) and i[1][0]) if
            library not in ("diffusers", "transformers")] == ["vae"]  # fmt: skip
    pipeline = DiffusionPipeline.from_pretrained(sd_folder, vae=PatchVAE.from_pretrained(sd_folder / "vae"))
    assert pipeline.unet.config.in_channels == pipeline.vae.config.latent_channels
    assert not list(sd_folder.rglob("*.bin"))
