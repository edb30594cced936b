"""From A1111's text to a body: each of its settings that there is a field for, and a note for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ecurie.catalog.catalog import Catalog, slug
from ecurie.catalog.sampler_names import AUTOMATIC, SPECIAL, UNIFORM
from ecurie.catalog.schedulers import find_scheduler
from ecurie.errors import InvalidRequest, RequestError
from ecurie.formats.hashes import AUTO_V2_DIGITS, known_sha256
from ecurie.formats.model_files import files_by_part
from ecurie.images.infotext_reading import Infotext

SIDE_STEP = 8
# Settings that say nothing that a request could, or that others say already.
SAID_ELSEWHERE = frozenset(
    {
        "Version",
        "Hashes",
        "Lora hashes",
        "TI hashes",
        "Model hash",
        "VAE hash",
        "Schedule type",
        "Hires steps",
    }
    | {"Hires upscaler", "Hires resize", "Denoising strength", "RNG"}
)
NUMBERS: dict[str, tuple[str, Callable[[str], int | float]]] = {
    "Steps": ("steps", int),
    "CFG scale": ("guidance_scale", float),
    "Seed": ("seed", int),
    "Clip skip": ("clip_skip", int),
}


def body_of_infotext(text: Infotext, catalog: Catalog) -> tuple[dict[str, Any], list[str]]:
    """(body, notes); the body is not checked yet, and its adapters are tags in its prompt."""
    body: dict[str, Any] = {
        "prompt": text.prompt,
        "negative_prompt": text.negative_prompt,
        "prompt_syntax": "a1111",
    }
    notes: list[str] = []
    for key, value in text.settings.items():
        if key in NUMBERS:
            name, number = NUMBERS[key]
            try:
                body[name] = number(value)
            except ValueError:
                notes.append(_not_taken(key, value))
        elif key == "Size":
            body |= _sides(value, notes)
        elif key == "Sampler":
            body |= _scheduler(value, text.settings.get("Schedule type", AUTOMATIC), notes)
        elif key == "Model":
            body |= _model(value, text.settings.get("Model hash", ""), catalog, notes)
        elif key == "Hires upscale" or (key == "Hires resize" and "Hires upscale" not in text.settings):
            body |= _hires(key, value, text.settings, notes)
        elif key not in SAID_ELSEWHERE:
            notes.append(_not_taken(key, value))
    notes += _from_a_picture(text.settings)
    return body, notes


def _not_taken(key: str, value: str) -> str:
    return f"{key}: {value[:80]} is not taken over"


def _sides(value: str, notes: list[str]) -> dict[str, Any]:
    try:
        given = [int(side) for side in value.split("x")]
        width, height = (side // SIDE_STEP * SIDE_STEP for side in given)
    except ValueError:
        notes.append(_not_taken("Size", value))
        return {}
    if [width, height] != given:
        notes.append(f"the size {value} becomes {width}x{height}: sides are multiples of {SIDE_STEP}")
    return {"width": width, "height": height}


def _scheduler(sampler: str, schedule: str, notes: list[str]) -> dict[str, Any]:
    """Old texts have the schedule within the sampler's name."""
    special = next((name for name, pair in SPECIAL.items() if pair == (sampler, schedule)), None)
    for name in (special, f"{sampler} {schedule}", sampler):
        try:
            found = find_scheduler(name) if name else None
        except InvalidRequest:
            continue
        if found is not None:
            if name == sampler and schedule not in (AUTOMATIC, UNIFORM):
                notes.append(f"the schedule {schedule} is not known here; {found.label} has its own")
            return {"scheduler": found.id}
    notes.append(f"the sampler {sampler} is not known here; the model's own is used")
    return {}


def _model(name: str, auto_v2: str, catalog: Catalog, notes: list[str]) -> dict[str, Any]:
    """By its name or its file's, or by its hash where that need not be computed."""
    entries = catalog.models()
    for model_id, entry in entries.items():
        if name in (model_id, Path(entry.source).stem) or slug(name) == model_id:
            return {"model": model_id}
    for model_id in catalog.models_here():
        if len(auto_v2) == AUTO_V2_DIGITS and auto_v2 in _hashes(model_id, catalog):
            return {"model": model_id}
    notes.append(f"the model '{name}' is not in this server's catalogue")
    return {}


def _hashes(model_id: str, catalog: Catalog) -> Iterator[str]:
    try:
        files = files_by_part(catalog.find(model_id).checkpoint)
    except RequestError:
        return
    for part, file in files:
        if part == "unet" and (known := known_sha256(file)) is not None:
            yield known[:AUTO_V2_DIGITS]


def _hires(key: str, value: str, settings: dict[str, str], notes: list[str]) -> dict[str, Any]:
    upscaler = settings.get("Hires upscaler", "")
    latent = upscaler.casefold().startswith("latent")
    hires: dict[str, Any] = {"upscaler": "latent" if latent else "lanczos"}
    if not latent and upscaler.casefold() != "lanczos":
        notes.append(f"the upscaler {upscaler or '(not named)'} is not known here; Lanczos is used")
    try:
        if key == "Hires upscale":
            hires["scale"] = float(value)
        else:
            hires["width"], hires["height"] = (
                int(side) // SIDE_STEP * SIDE_STEP for side in value.split("x")
            )
        # 0: those of the first pass.
        if steps := int(settings.get("Hires steps", "0")):
            hires["steps"] = steps
        hires["strength"] = float(settings.get("Denoising strength", "0.5"))
    except ValueError:
        notes.append(_not_taken(key, value))
        return {}
    return {"hires": hires}


def _from_a_picture(settings: dict[str, str]) -> Iterator[str]:
    if "Denoising strength" in settings and not any(key.startswith("Hires") for key in settings):
        yield "it was drawn over another picture, which is not in the file"
