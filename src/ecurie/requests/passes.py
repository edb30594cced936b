"""From what drawing starts, at which size, and whether a larger pass follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ecurie.domain import Hires, InitImage, PictureUse, steps_done
from ecurie.errors import InvalidRequest
from ecurie.images.fitting import mask_of
from ecurie.images.incoming import ReadPicture, read_picture
from ecurie.requests.body import GenerateBody
from ecurie.requests.pictures import PictureSource

STRENGTH, MASK_BLUR, RESIZE = 0.75, 4.0, "crop"
SMALLEST, LARGEST = 64, 8192
SAME_SHAPE = 0.02
"""How far the ratio of a mask's sides may be from the picture's: rounding of another size."""


@dataclass(frozen=True, slots=True)
class Passes:
    width: int
    height: int
    init: InitImage | None = None
    hires: Hires | None = None


def settle_passes(
    body: GenerateBody, model: str, own: tuple[int, int], most: int, pictures: PictureSource
) -> Passes:
    """`own` is the model's size, `most` how many pixels it may draw.

    Raises InvalidRequest, and what `pictures` raise.
    """
    if body.init_image is None:
        _refuse_without_picture(body)
        width, height = _checked_size(body, model, own, most)
        return Passes(width, height, hires=_hires(body, width, height, model, most))
    if body.hires is not None:
        raise InvalidRequest(
            "hires: a picture to start from is there already",
            field="hires",
            remedy="leave 'hires' out, and ask for a larger width and height with a low strength",
        )
    picture = pictures.find(body.init_image, "init_image")
    size = read_picture(picture, "init_image", pictures.read).size
    width, height = _checked_size(body, model, size_for(*size, most), most)
    return Passes(width, height, _init(body, picture, size, pictures))


def size_for(width: int, height: int, most: int) -> tuple[int, int]:
    """A picture's own size, or the nearest that can be drawn: multiples of 8, at most `most` pixels."""
    shrink = min(1.0, math.sqrt(most / (width * height)))
    sides = (side * shrink / 8 for side in (width, height))
    around = (math.floor(side) if shrink < 1 else round(side) for side in sides)
    across, down = (min(max(8 * side, SMALLEST), LARGEST) for side in around)
    return across, down


def _refuse_without_picture(body: GenerateBody) -> None:
    for field in ("mask", "strength", "resize", "mask_blur"):
        if getattr(body, field) is not None:
            raise InvalidRequest(
                f"{field}: has a meaning only with init_image, which is missing",
                field=field,
                remedy=f"send 'init_image' too, or leave '{field}' out",
            )


def _init(
    body: GenerateBody, picture: PictureUse, size: tuple[int, int], pictures: PictureSource
) -> InitImage:
    strength = STRENGTH if body.strength is None else body.strength
    _refuse_no_step("strength", body.steps, strength)
    resize = body.resize or RESIZE
    if body.mask is None:
        if body.mask_blur is not None:
            raise InvalidRequest("mask_blur: there is no mask", field="mask_blur", remedy="send 'mask' too")
        return InitImage(picture, strength, resize)
    mask = _checked_mask(pictures.find(body.mask, "mask"), size, pictures.read)
    blur = MASK_BLUR if body.mask_blur is None else body.mask_blur
    return InitImage(picture, strength, resize, mask, blur)


def _checked_mask(use: PictureUse, size: tuple[int, int], read: ReadPicture) -> PictureUse:
    """Raises InvalidRequest for a mask of another shape, or without white."""
    mask = mask_of(read_picture(use, "mask", read))
    if abs(mask.width * size[1] / (mask.height * size[0]) - 1) > SAME_SHAPE:
        raise InvalidRequest(
            f"mask: its size, {mask.width}x{mask.height}, has not the shape of init_image's, "
            f"{size[0]}x{size[1]}",
            field="mask",
            remedy="send a mask of the picture's own size",
        )
    if not any(mask.histogram()[128:]):
        raise InvalidRequest(
            "mask: nothing in it is white, so nothing would be drawn",
            field="mask",
            remedy="paint white what is to be drawn anew; leave 'mask' out to draw everything anew",
        )
    return use


def _refuse_no_step(field: str, steps: int, strength: float) -> None:
    if steps_done(steps, strength) < 1:
        raise InvalidRequest(
            f"{field}: {strength:g} of {steps} steps is less than one",
            field=field,
            remedy=f"use at least {math.ceil(1000 / steps) / 1000:g}, or more steps",
        )


def _checked_size(body: GenerateBody, model: str, own: tuple[int, int], most: int) -> tuple[int, int]:
    width, height = body.width or own[0], body.height or own[1]
    refuse_too_many_pixels(width, height, model, most, "width", f"its own size is {own[0]}x{own[1]}")
    return width, height


def refuse_too_many_pixels(width: int, height: int, model: str, most: int, field: str, remedy: str) -> None:
    if width * height > most:
        raise InvalidRequest(
            f"{width}x{height} is {width * height:,} pixels; {model} may draw {most:,} here",
            field=field,
            remedy=remedy,
        )


def _hires(body: GenerateBody, width: int, height: int, model: str, most: int) -> Hires | None:
    asked = body.hires
    if asked is None:
        return None
    scaled = (8 * round(side * asked.scale / 8) for side in (width, height))
    across, down = (asked.width, asked.height) if asked.width and asked.height else scaled
    if across < width or down < height:
        raise InvalidRequest(
            f"hires: {across}x{down} is smaller than the first pass, {width}x{height}", field="hires.width"
        )
    remedy = "ask for a smaller scale, or a smaller first pass"
    refuse_too_many_pixels(across, down, model, most, "hires", remedy)
    if max(across, down) > LARGEST:
        raise InvalidRequest(f"hires: a side may have {LARGEST} pixels", field="hires", remedy=remedy)
    steps = asked.steps or body.steps
    _refuse_no_step("hires.strength", steps, asked.strength)
    return Hires(across, down, steps, asked.strength, asked.upscaler)
