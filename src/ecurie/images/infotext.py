"""The `parameters` text that A1111 writes into images and that other tools read.

    prompt
    Negative prompt: …
    Steps: 20, Sampler: Euler, Schedule type: Uniform, CFG scale: 7, Seed: 1, …

Keys and their order are those of A1111's `modules/processing.py`; `Hashes` is what Civitai reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import ecurie
from ecurie.catalog.sampler_names import a1111_sampler
from ecurie.domain import AdapterUse, EmbeddingUse, GenerationRequest, Setup
from ecurie.formats.hashes import AUTO_V2_DIGITS

NEGATIVE = "Negative prompt: "


def write_infotext(request: GenerationRequest, seed: int, setup: Setup) -> str:
    """What A1111 would write, with our adapters as its tags."""
    prompt = request.tagged_prompt or request.final_prompt
    lines = [" ".join([prompt, *(_tag(use) for use in request.adapters if not use.in_prompt)])]
    if request.negative_prompt:
        lines.append(NEGATIVE + request.negative_prompt)
    lines.append(", ".join(f"{key}: {value}" for key, value in _pairs(request, seed, setup)))
    return "\n".join(lines)


def _pairs(request: GenerationRequest, seed: int, setup: Setup) -> Iterator[tuple[str, str]]:
    sampler, schedule = a1111_sampler(request.scheduler, setup.scheduler)
    yield "Steps", str(request.steps)
    yield "Sampler", quoted(sampler)
    yield "Schedule type", schedule
    yield "CFG scale", f"{request.guidance_scale:g}"
    yield "Seed", str(seed)
    yield "Size", f"{request.width}x{request.height}"
    yield from _model_pairs(request, setup)
    yield from _strength(request)
    if request.clip_skip > 1:
        yield "Clip skip", str(request.clip_skip)
    # The noise is drawn on the CPU whatever the device.
    yield "RNG", "CPU"
    yield from _passes(request)
    if request.adapters:
        yield "Lora hashes", _hashes(request.adapters)
    if request.embeddings:
        yield "TI hashes", _hashes(request.embeddings)
    if civitai := _civitai_hashes(request, setup):
        # Not quoted: Civitai looks for the object itself.
        yield "Hashes", json.dumps(civitai)
    yield "Version", f"ecurie {ecurie.__version__}"


def _strength(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    """A picture to start from and a larger pass never come together."""
    if partly := request.init or request.hires:
        yield "Denoising strength", f"{partly.strength:g}"


def _passes(request: GenerationRequest) -> Iterator[tuple[str, str]]:
    if request.init is not None and request.init.mask is not None:
        yield "Mask blur", f"{request.init.mask_blur:g}"
    if (hires := request.hires) is not None:
        across, down = hires.width / request.width, hires.height / request.height
        same = across == down
        yield ("Hires upscale", f"{across:g}") if same else ("Hires resize", f"{hires.width}x{hires.height}")
        yield "Hires steps", str(hires.steps)
        yield "Hires upscaler", hires.upscaler.capitalize()


def _model_pairs(request: GenerationRequest, setup: Setup) -> Iterator[tuple[str, str]]:
    """The model is known by its UNet's file, which is all of it where it is a single file."""
    if unet := setup.file_of("unet"):
        yield "Model hash", unet.sha256[:AUTO_V2_DIGITS]
    yield "Model", quoted(request.model)
    if request.vae_path and (vae := setup.file_of("vae")):
        yield "VAE hash", vae.sha256[:AUTO_V2_DIGITS]
        yield "VAE", quoted(Path(request.vae_path).name)


def _civitai_hashes(request: GenerationRequest, setup: Setup) -> dict[str, str]:
    """AutoV2 hashes by what they are of."""
    parts = {"model": setup.file_of("unet"), "vae": setup.file_of("vae") if request.vae_path else None}
    found = {key: file.sha256 for key, file in parts.items() if file is not None}
    found |= {f"lora:{_name(use)}": use.sha256 for use in request.adapters}
    found |= {f"embed:{_name(use)}": use.sha256 for use in request.embeddings}
    return {key: sha256[:AUTO_V2_DIGITS] for key, sha256 in found.items()}


def _hashes(uses: Iterable[AdapterUse | EmbeddingUse]) -> str:
    return quoted(", ".join(f"{_name(use)}: {use.auto_v3}" for use in uses))


def _tag(use: AdapterUse) -> str:
    if use.unet == use.text_encoder:
        return f"<lora:{use.name}:{use.unet:g}>"
    return f"<lora:{use.name}:{use.text_encoder:g}:{use.unet:g}>"


def _name(use: AdapterUse | EmbeddingUse) -> str:
    """As A1111 strips it; braces and quotes would end Civitai's object early."""
    return re.sub(r'[:,{}"\\]', "", use.name)


def quoted(text: str) -> str:
    """Values with a comma, a colon or a newline are written as JSON strings."""
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text
