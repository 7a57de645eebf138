"""Latents of patches: what goes in comes out, but for what the components leave out."""

import pytest
import torch

from cloze.rendering.patch_vae import PatchVAE


@pytest.fixture(scope="module")
def vae(drawn):
    vae = PatchVAE()
    assert vae.fit(drawn) > 0.97  # of the variance
    return vae


def test_pictures_survive(vae, drawn):
    latents = vae.encode(drawn).latent_dist.mode()
    assert latents.shape == (60, 16, 16, 16)
    error = (vae.decode(latents).sample - drawn).square().mean()
    assert 10 * torch.log10(4 / error) > 24  # dB, of a range of 2; measured 27


def test_all_components_lose_nothing(drawn):
    vae = PatchVAE(latent_channels=48)
    assert vae.fit(drawn) == pytest.approx(1)
    latents = vae.encode(drawn).latent_dist.sample(torch.Generator().manual_seed(0))
    assert torch.allclose(vae.decode(latents).sample, drawn, atol=1e-4)


def test_latents_have_a_variance_of_1_and_the_first_the_largest(vae, drawn):
    spread = vae.encode(drawn).latent_dist.mode().transpose(0, 1).flatten(1).std(dim=1)
    assert spread.square().mean() == pytest.approx(1, rel=0.01)
    assert torch.all(spread[:-1] >= spread[1:])


def test_it_is_saved_and_loaded_like_any_of_diffusers(vae, drawn, tmp_path):
    vae.save_pretrained(tmp_path)
    again = PatchVAE.from_pretrained(tmp_path)
    assert torch.equal(again.encode(drawn).latent_dist.mode(), vae.encode(drawn).latent_dist.mode())


def test_a_factor_that_pipelines_would_misread_is_refused():
    with pytest.raises(ValueError, match="block_out_channels"):
        PatchVAE(patch=8)
