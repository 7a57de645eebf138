"""An autoencoder for small diffusion models: patches as their principal components, fitted instead of trained."""

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput, DiagonalGaussianDistribution
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from torch import Tensor, nn
from torch.nn import functional

_SURE = -30.0  # log variance of what is known exactly; what diffusers clamps to
_FLATTENING = 0.5  # of the components' spread: 1 gives all the same, and the least of them as much weight as the first


class PatchVAE(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """Latents are the first principal components of square patches (Turk and Pentland 1991, for patches).

    It has the surface of diffusers' AutoencoderKL as far as pipelines use it: pictures (n, 3, h, w) in [-1, 1], latents
    (n, latent_channels, h / patch, w / patch). Where a trained autoencoder needs hours to be sharp, this is fitted in
    seconds and loses what is left of a patch after its components.
    """

    @register_to_config  # type: ignore[untyped-decorator]  # diffusers has no types
    def __init__(
        self,
        patch: int = 4,
        latent_channels: int = 16,
        block_out_channels: tuple[int, ...] = (1, 1, 1),  # pipelines read the factor from its length: 2 ** (3 - 1)
        scaling_factor: float = 1.0,
    ) -> None:
        super().__init__()
        if 2 ** (len(block_out_channels) - 1) != patch:
            raise ValueError(
                f"block_out_channels has {len(block_out_channels)} entries, not those of patches of {patch}"
            )
        self.mean = nn.Parameter(torch.zeros(3, patch, patch), requires_grad=False)
        self.components = nn.Parameter(torch.zeros(latent_channels, 3, patch, patch), requires_grad=False)
        self.spread = nn.Parameter(torch.ones(latent_channels), requires_grad=False)

    @torch.no_grad()
    def fit(self, pictures: Tensor) -> float:
        """Fit mean and components to pictures (n, 3, h, w); returns the share of the variance that they keep."""
        patch, channels = self.config.patch, self.config.latent_channels
        rows = functional.unfold(pictures, patch, stride=patch).transpose(1, 2).reshape(-1, 3 * patch * patch).double()
        mean = rows.mean(dim=0)
        variances, vectors = torch.linalg.eigh(torch.cov(rows.T))
        kept = variances.flip(0)[:channels]
        self.mean.copy_(mean.view(3, patch, patch))
        self.components.copy_(vectors.flip(1)[:, :channels].T.reshape(channels, 3, patch, patch))
        spread = kept.sqrt() ** _FLATTENING
        self.spread.copy_(spread * (kept / spread**2).mean().sqrt())  # so that latents have a variance of 1 on average
        return float(kept.sum() / variances.sum())

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        """The latents of pictures, as a distribution that is a point."""
        patch = self.config.patch
        tiles = (x.shape[2] // patch, x.shape[3] // patch)
        latents = functional.conv2d(x - self.mean.repeat(1, *tiles), self.components, stride=patch)
        latents = latents / self.spread[:, None, None]
        point = DiagonalGaussianDistribution(torch.cat([latents, torch.full_like(latents, _SURE)], dim=1))
        return AutoencoderKLOutput(latent_dist=point) if return_dict else (point,)

    def decode(self, z: Tensor, return_dict: bool = True, generator: torch.Generator | None = None) -> Any:
        """The pictures of latents."""
        pictures = functional.conv_transpose2d(
            z * self.spread[:, None, None], self.components, stride=self.config.patch
        )
        pictures = pictures + self.mean.repeat(1, z.shape[2], z.shape[3])
        return DecoderOutput(sample=pictures) if return_dict else (pictures,)
