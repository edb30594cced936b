"""From a body of this API to the bodies of `POST /generate` that draw its images."""

from __future__ import annotations

import base64
import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from PIL import ImageOps
from pydantic import ValidationError

from ecurie.api.a1111.bodies import GenerationBody, Img2ImgBody, OptionsBody, Txt2ImgBody
from ecurie.api.a1111.hires import SIDE, hires_of, note_on_steps
from ecurie.api.a1111.options import Chosen
from ecurie.api.a1111.refusals import notes_on, refuse_what_is_not_there
from ecurie.catalog.a1111_samplers import scheduler_for
from ecurie.domain import SEED_LIMIT
from ecurie.errors import InvalidRequest
from ecurie.images.fitting import mask_of
from ecurie.images.incoming import read_picture
from ecurie.mistakes import first_mistake
from ecurie.requests.body import GenerateBody
from ecurie.requests.pictures import PictureSource

MOST_IN_A_JOB, MOST_IMAGES = 16, 64
STRENGTH = 0.75
RESIZES = {0: "stretch", 1: "crop"}
THEIR_NAMES = {
    "guidance_scale": "cfg_scale",
    "strength": "denoising_strength",
    "hires.strength": "denoising_strength",
    "hires.scale": "hr_scale",
    "hires.steps": "hr_second_pass_steps",
    "hires.width": "hr_resize_x",
    "hires.height": "hr_resize_y",
}


@dataclass(frozen=True, slots=True)
class Work:
    """What a request becomes: the jobs in the order of their images, and what of it is not followed."""

    bodies: tuple[GenerateBody, ...]
    notes: tuple[str, ...]


def overrides_of(body: GenerationBody) -> OptionsBody:
    """Raises InvalidRequest."""
    try:
        return OptionsBody.model_validate(body.override_settings or {})
    except ValidationError as error:
        raise _in_their_words(error) from error


def work_of(body: GenerationBody, chosen: Chosen, pictures: PictureSource) -> Work:
    """Raises InvalidRequest, UnknownSampler, or what `pictures` raise."""
    refuse_what_is_not_there(body)
    starts = _starts(body, pictures) if isinstance(body, Img2ImgBody) else [{}]
    images = body.n_iter * (body.batch_size if len(starts) == 1 else len(starts))
    if images > MOST_IMAGES:
        raise InvalidRequest(
            f"{images} images are too many for one request",
            field="n_iter",
            remedy=f"ask for at most {MOST_IMAGES} (n_iter x batch_size, or x init_images)",
        )
    common = _common(body, chosen)
    seed = secrets.randbelow(SEED_LIMIT - images) if body.seed in (None, -1) else body.seed
    parts = [
        {**common, **starts[number % len(starts)], "seed": _seed(seed, number), "num_images": count}
        for number, count in _parts(images, alone=len(starts) > 1)
    ]
    return Work(tuple(_native(part) for part in parts), tuple(_notes(body)))


def _notes(body: GenerationBody) -> Iterator[str]:
    if isinstance(body, Txt2ImgBody) and (note := note_on_steps(body)):
        yield note
    yield from notes_on(body)


def _parts(images: int, *, alone: bool) -> Iterator[tuple[int, int]]:
    """(number of the first image, how many) for each job."""
    most = 1 if alone else MOST_IN_A_JOB
    for first in range(0, images, most):
        yield first, min(most, images - first)


def _seed(seed: int, number: int) -> int:
    """One that is out of range stays so, to be refused."""
    return (seed + number) % SEED_LIMIT if number else seed


def _common(body: GenerationBody, chosen: Chosen) -> dict[str, Any]:
    """As in the web UI a side is cut to a multiple of 8, and braces are letters."""
    width, height = (side // SIDE * SIDE for side in (body.width, body.height))
    return {
        "prompt": body.prompt,
        "negative_prompt": body.negative_prompt,
        "prompt_syntax": "a1111",
        "wildcards": False,
        "model": chosen.model,
        "clip_skip": chosen.clip_skip,
        "steps": body.steps,
        "guidance_scale": body.cfg_scale,
        "width": width,
        "height": height,
        "scheduler": scheduler_for(body.sampler_name or body.sampler_index or "Euler", body.scheduler),
        "hires": hires_of(body, width, height) if isinstance(body, Txt2ImgBody) else None,
        "format": chosen.format,
        "quality": chosen.quality,
    }


def _starts(body: Img2ImgBody, pictures: PictureSource) -> list[dict[str, Any]]:
    """Of each picture to start from, what it adds to a body."""
    if not body.init_images:
        raise InvalidRequest(
            "init_images: is missing", field="init_images", remedy="send one picture at least"
        )
    if len(body.init_images) > MOST_IMAGES:
        raise InvalidRequest(f"init_images: at most {MOST_IMAGES} can be sent at once", field="init_images")
    if body.resize_mode not in RESIZES:
        raise InvalidRequest(
            f"resize_mode: {body.resize_mode} is not done here",
            field="resize_mode",
            remedy="use 0 (just resize) or 1 (crop and resize)",
        )
    strength = STRENGTH if body.denoising_strength is None else body.denoising_strength
    added = {"strength": strength, "resize": RESIZES[body.resize_mode], **_mask(body, pictures)}
    return [{"init_image": image, **added} for image in body.init_images]


def _mask(body: Img2ImgBody, pictures: PictureSource) -> dict[str, Any]:
    if body.mask is None:
        return {}
    if body.mask_blur is None and body.mask_blur_x != body.mask_blur_y:
        raise InvalidRequest(
            "mask_blur_x: a mask has one radius here", field="mask_blur_x", remedy="send 'mask_blur' alone"
        )
    blur = body.mask_blur_x if body.mask_blur is None else body.mask_blur
    mask = _inverted(body.mask, pictures) if body.inpainting_mask_invert else body.mask
    return {"mask": mask, "mask_blur": blur}


def _inverted(mask: str, pictures: PictureSource) -> str:
    """As base64."""
    picture = read_picture(pictures.find(mask, "mask"), "mask", pictures.read)
    written = io.BytesIO()
    ImageOps.invert(mask_of(picture)).save(written, "PNG")
    return base64.b64encode(written.getvalue()).decode()


def _native(fields: dict[str, Any]) -> GenerateBody:
    try:
        return GenerateBody(**fields)
    except ValidationError as error:
        raise _in_their_words(error) from error


def _in_their_words(error: ValidationError) -> InvalidRequest:
    field, reason = first_mistake(error)
    name = THEIR_NAMES.get(field, field)
    return InvalidRequest(f"{name}: {reason}", field=name)
