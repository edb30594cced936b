"""From pixels to latents, in float32 where half precision is not enough: the way back of `decoding`."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image
from torch import Tensor

from ecurie.engine.decoding import HALF, in_float32
from ecurie.errors import ImageNotFinite


@torch.no_grad()
def encode(vae: AutoencoderKL, picture: Image.Image, generator: torch.Generator) -> Tensor:
    """Latents of an RGB picture, 1×channels×height×width in the VAE's dtype and on its device.

    They are drawn from the encoder's distribution, as diffusers does, with float32 noise of the CPU
    generator. A half-precision VAE computes in float32 when its configuration says so, or when it overflows.
    Raises ImageNotFinite when it does in float32 too.
    """
    first = next(vae.parameters())
    pixels = VaeImageProcessor().preprocess(picture).to(first.device)
    found = None
    if not (first.dtype in HALF and vae.config.force_upcast):
        found = _distribution(vae, pixels.to(first.dtype))
    if found is None:
        with in_float32(vae):
            found = _distribution(vae, pixels.float())
    if found is None:
        raise ImageNotFinite(
            "the VAE makes NaN or infinite values of the picture",
            remedy="use another VAE: this one's files are damaged",
        )
    noise = torch.randn(found.mean.shape, generator=generator, dtype=torch.float32)
    return _scaled(vae, (found.mean + found.std * noise.to(found.mean)).to(first.dtype))


def _distribution(vae: AutoencoderKL, pixels: Tensor) -> DiagonalGaussianDistribution | None:
    """None where it is not finite."""
    found = vae.encode(pixels).latent_dist
    return found if bool(torch.isfinite(found.parameters).all()) else None


def _scaled(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """To about unit variance, as the UNet wants them."""
    config = vae.config
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and deviation is not None:
        mean, deviation = (latents.new_tensor(numbers).view(1, -1, 1, 1) for numbers in (mean, deviation))
        latents = (latents - mean) / deviation
    scaled: Tensor = latents * config.scaling_factor
    return scaled
