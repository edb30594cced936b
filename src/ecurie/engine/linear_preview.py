"""From latents to colours by a linear map, fitted to a VAE.

Each latent pixel becomes the mean colour of the block of pixels that it stands for: rgb ≈ latent·W + b. W and
b are the least-squares solution over a few pictures that the VAE itself decodes, of smooth random latents.
For the demo VAE, what they give correlates by 0.92 to 0.98 with the finished pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ecurie.engine.decoding import in_float32, pixels_of

PICTURES, SIDE, COARSE_SIDE = 4, 8, 2


@dataclass(frozen=True, slots=True)
class LinearMap:
    """`weights` are (channels + 1)×3 in float32, the last row the colour of latents of 0."""

    weights: np.ndarray[Any, Any]

    def picture(self, latents: Tensor) -> Image.Image:
        """One pixel for each of the latents, 1×channels×height×width on any device."""
        # By numpy, on one core: torch's threads would wait for each other beside a busy process.
        channels = latents[0].float().cpu().numpy()
        colours = np.einsum("chw,cr->hwr", channels, self.weights[:-1]) + self.weights[-1]
        return Image.fromarray((colours.clip(0, 1) * 255).round().astype(np.uint8))


@torch.no_grad()
def fit_linear_map(vae: AutoencoderKL) -> LinearMap | None:
    """Decodes PICTURES of SIDE×SIDE latents of unit variance, in float32, where the VAE is. None when what it
    makes of them is not finite.

    At SDXL's size that takes a second on two CPU cores, where an image takes minutes.
    """
    place = next(vae.parameters()).device
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(
        (PICTURES, vae.config.latent_channels, COARSE_SIDE, COARSE_SIDE), generator=generator
    )
    latents = functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
    latents /= latents.std()
    with in_float32(vae):
        pixels = pixels_of(vae, latents.to(place)).cpu()
    if not torch.isfinite(pixels).all():
        return None
    blocks = functional.adaptive_avg_pool2d(pixels, (SIDE, SIDE)).permute(0, 2, 3, 1)
    inputs = functional.pad(latents.permute(0, 2, 3, 1), (0, 1), value=1.0).flatten(0, 2)
    return LinearMap(torch.linalg.lstsq(inputs, blocks.flatten(0, 2)).solution.numpy())
