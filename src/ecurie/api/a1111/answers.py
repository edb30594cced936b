"""What a request that was drawn is answered with."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

import ecurie
from ecurie.api.a1111.bodies import GenerationBody, Img2ImgBody, OptionsBody
from ecurie.catalog.sampler_names import a1111_sampler
from ecurie.domain import Job, JobState
from ecurie.formats.hashes import AUTO_V2_DIGITS
from ecurie.images.infotext import write_infotext
from ecurie.images.infotext_reading import read_infotext

USUAL = {"Steps", "Sampler", "CFG scale", "Seed", "Size", "Model hash", "Model", "VAE", "VAE hash", "Version"}
"""Parameters that have keys of their own in `info`."""


class GenerationOut(BaseModel):
    """`images` are base64, `parameters` the request with all its defaults, `info` is JSON."""

    images: list[str]
    parameters: dict[str, Any]
    info: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A finished image: its file, and what is told of it."""

    filename: str
    seed: int
    infotext: str


def images_of(jobs: Sequence[Job]) -> list[Drawn]:
    return [
        Drawn(image.filename, image.seed, write_infotext(job.request, image.seed, job.result.setup))
        for job in jobs
        if job.state is JobState.SUCCEEDED and job.result
        for image in job.result.images
    ]


def generation_out(
    body: GenerationBody,
    jobs: Sequence[Job],
    images: Sequence[Drawn],
    contents: Sequence[bytes],
    notes: Sequence[str],
) -> GenerationOut:
    """`contents` are the images' files, empty where the client wants none."""
    return GenerationOut(
        images=[b64encode(content).decode() for content in contents],
        parameters=parameters_of(body),
        info=json.dumps(info_of(body, jobs, images, notes), ensure_ascii=False),
    )


def parameters_of(body: GenerationBody) -> dict[str, Any]:
    """The body as it was understood. Pictures are sent back only if that is asked for."""
    told = body.model_dump(exclude={"override_settings", "alwayson_scripts"})
    if isinstance(body, Img2ImgBody) and not body.include_init_images:
        told |= {"init_images": None, "mask": None}
    known = OptionsBody.model_validate(body.override_settings or {})
    return {**told, "override_settings": known.model_dump(exclude_unset=True), "alwayson_scripts": {}}


def info_of(
    body: GenerationBody, jobs: Sequence[Job], images: Sequence[Drawn], notes: Sequence[str]
) -> dict[str, Any]:
    """The keys of the web UI's `Processed.js`, and `notes`: what of the request was not followed, and of what
    the jobs warn."""
    first, request = jobs[0], jobs[0].request
    setup = first.result.setup if first.result else None
    model = setup and setup.file_of("unet")
    vae = setup.file_of("vae") if setup and request.vae_path else None
    sampler, _ = a1111_sampler(request.scheduler, setup.scheduler if setup else "")
    settings = read_infotext(images[0].infotext).settings if images else {}
    return {
        "prompt": body.prompt,
        "all_prompts": [body.prompt for _ in images],
        "negative_prompt": body.negative_prompt,
        "all_negative_prompts": [body.negative_prompt for _ in images],
        "seed": request.seed,
        "all_seeds": [image.seed for image in images],
        "subseed": request.seed,
        "all_subseeds": [image.seed for image in images],
        "subseed_strength": 0,
        "width": request.width,
        "height": request.height,
        "sampler_name": sampler,
        "cfg_scale": request.guidance_scale,
        "steps": request.steps,
        "batch_size": body.batch_size,
        "restore_faces": False,
        "face_restoration_model": None,
        "sd_model_name": request.model,
        "sd_model_hash": model.sha256[:AUTO_V2_DIGITS] if model else None,
        "sd_vae_name": vae.name if vae else None,
        "sd_vae_hash": vae.sha256[:AUTO_V2_DIGITS] if vae else None,
        "seed_resize_from_w": -1,
        "seed_resize_from_h": -1,
        "denoising_strength": body.denoising_strength if request.init or request.hires else None,
        "extra_generation_params": {key: value for key, value in settings.items() if key not in USUAL},
        "index_of_first_image": 0,
        "infotexts": [image.infotext for image in images],
        "styles": [],
        "job_timestamp": f"{first.created_at:%Y%m%d%H%M%S}",
        "clip_skip": request.clip_skip,
        "is_using_inpainting_conditioning": False,
        "version": f"ecurie {ecurie.__version__}",
        "notes": [*notes, *dict.fromkeys(_warnings(jobs))],
    }


def _warnings(jobs: Sequence[Job]) -> list[str]:
    results = [job.result for job in jobs if job.result]
    of_adapters = [
        warning for result in results for report in result.report.adapters for warning in report.warnings
    ]
    return [*of_adapters, *(warning for result in results for warning in result.warnings)]
