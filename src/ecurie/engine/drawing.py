"""What to draw, as values: one image, what it starts from, and whether a larger pass follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from PIL import Image

from ecurie.domain import Acceleration, GenerationRequest, Hires, Preview
from ecurie.engine.image_encoder import ReferenceEmbeds
from ecurie.engine.prompts import Conditioning
from ecurie.engine.schedulers import make_scheduler, noise_schedule
from ecurie.images.fitting import blurred, fit, mask_of
from ecurie.images.incoming import ReadPicture, read_here, read_picture, to_rgb

StepListener = Callable[[str, int, Preview | None], None]
"""Told the phase, how many of the image's steps are done, and sometimes how it looks by now; may raise to
stop the work."""


@dataclass(frozen=True, slots=True)
class Start:
    """A picture of the drawing's size, the share of the steps that leave it, and in white what changes."""

    picture: Image.Image
    strength: float
    mask: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Enlarging:
    """A second pass, its scheduler fresh."""

    scheduler: Any
    hires: Hires


@dataclass(frozen=True, slots=True)
class Drawing:
    """One image of `width`×`height` pixels, its scheduler fresh. With `references`, their adapter must be
    attached to the UNet."""

    conditioning: Conditioning
    scheduler: Any
    seed: int
    steps: int
    guidance_scale: float
    guidance_rescale: float
    width: int
    height: int
    accelerate: Acceleration = "none"
    references: ReferenceEmbeds | None = None
    start: Start | None = None
    enlarging: Enlarging | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """One image, the scheduler's class that made it, the seconds it took, and what its user should know."""

    image: Image.Image
    scheduler: str
    denoise: float
    decode: float
    warnings: tuple[str, ...] = ()


def read_start(request: GenerationRequest, read: ReadPicture = read_here) -> Start | None:
    """The request's pictures, brought to its size.

    Raises InvalidRequest for one that is gone or was replaced.
    """
    init = request.init
    if init is None:
        return None
    size = request.width, request.height
    picture = fit(to_rgb(read_picture(init.picture, "init_image", read)), *size, init.resize)
    if init.mask is None:
        return Start(picture, init.strength)
    mask = fit(mask_of(read_picture(init.mask, "mask", read)), *size, init.resize)
    return Start(picture, init.strength, blurred(mask, init.mask_blur))


def drawing_of(
    request: GenerationRequest,
    index: int,
    start: Start | None,
    scheduler_config: Mapping[str, Any],
    conditioning: Conditioning,
    references: ReferenceEmbeds | None,
) -> Drawing:
    """Image `index` of a request, with the model's published scheduler configuration."""
    seed, hires = request.seed_of(index), request.hires
    schedule = noise_schedule(scheduler_config, request.prediction_type, request.zero_snr)
    fresh_scheduler = partial(make_scheduler, request.scheduler, schedule, seed)
    return Drawing(
        conditioning,
        fresh_scheduler(),
        seed=seed,
        steps=request.steps,
        guidance_scale=request.guidance_scale,
        guidance_rescale=request.guidance_rescale,
        width=request.width,
        height=request.height,
        accelerate=request.accelerate,
        references=references,
        start=start,
        enlarging=Enlarging(fresh_scheduler(), hires) if hires else None,
    )
