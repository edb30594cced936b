"""From latents to pixels, in float32 where half precision is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor

from ecurie.errors import ImageNotFinite

HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, slots=True)
class Decoded:
    image: Image.Image
    warnings: tuple[str, ...] = ()


@torch.no_grad()
def decode(vae: AutoencoderKL, latents: Tensor, seed: int) -> Decoded:
    """The picture of `latents`, 1×channels×height×width on the VAE's device.

    A half-precision VAE computes in float32 when its configuration says so (`force_upcast`), or when the
    picture came out black or not finite: the decoders of SDXL's published VAE overflow float16. Raises
    ImageNotFinite when the latents hold NaN or infinity, or the picture does in float32 too.
    """
    dtype = next(vae.parameters()).dtype
    if not torch.isfinite(latents).all():
        raise _not_finite(seed, "the latents hold", "try another scheduler or guidance scale")
    if dtype in HALF and not vae.config.force_upcast:
        pixels = pixels_of(vae, latents)
        if _usable(pixels):
            return Decoded(_picture(pixels))
    with in_float32(vae):
        pixels = pixels_of(vae, latents)
    if not torch.isfinite(pixels).all():
        raise _not_finite(seed, "the decoded image holds", "use another VAE: this one's files are damaged")
    if dtype in HALF and not vae.config.force_upcast:
        name = str(dtype).removeprefix("torch.")
        warning = f"the VAE gave a black or NaN image in {name}: decoded again in float32"
        return Decoded(_picture(pixels), (warning,))
    return Decoded(_picture(pixels))


def _not_finite(seed: int, what: str, remedy: str) -> ImageNotFinite:
    return ImageNotFinite(f"{what} NaN or infinite values, for seed {seed}", remedy=remedy)


def _usable(pixels: Tensor) -> bool:
    return bool(torch.isfinite(pixels).all()) and bool((pixels > 0).any())


@contextmanager
def in_float32(vae: AutoencoderKL) -> Iterator[None]:
    """The weights themselves come back after it, mapped ones as mapped ones."""
    kept = [(parameter, parameter.data) for parameter in vae.parameters()]
    try:
        for parameter, weights in kept:
            parameter.data = weights.float()
        yield
    finally:
        for parameter, weights in kept:
            parameter.data = weights


def pixels_of(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Of n×channels×height×width latents on the VAE's device: n×3×height×width from 0 to 1, or NaN."""
    config, latents = vae.config, latents.to(next(vae.parameters()).dtype)
    latents = latents / config.scaling_factor
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and deviation is not None:
        mean, deviation = (latents.new_tensor(numbers).view(1, -1, 1, 1) for numbers in (mean, deviation))
        latents = latents * deviation + mean
    pixels: Tensor = VaeImageProcessor().postprocess(vae.decode(latents).sample, output_type="pt")
    return pixels


def _picture(pixels: Tensor) -> Image.Image:
    picture: Image.Image = VaeImageProcessor.numpy_to_pil(pixels.float().cpu().permute(0, 2, 3, 1).numpy())[0]
    return picture
