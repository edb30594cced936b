"""From A1111's text to a body: each of its settings that there is a field for, and a note for each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ecurie.catalog.a1111_samplers import scheduler_for
from ecurie.catalog.catalog import Catalog, slug
from ecurie.catalog.checkpoint_names import find_checkpoint
from ecurie.catalog.sampler_names import AUTOMATIC
from ecurie.domain import steps_for
from ecurie.errors import RequestError
from ecurie.images.infotext_reading import Infotext

MOST_STEPS = 150
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
    try:
        return {"scheduler": scheduler_for(sampler, schedule)}
    except RequestError as error:
        notes.append(str(error))
    try:
        return {"scheduler": scheduler_for(sampler, AUTOMATIC)}
    except RequestError:
        return {}


def _model(name: str, auto_v2: str, catalog: Catalog, notes: list[str]) -> dict[str, Any]:
    """By its name or its file's, or by its hash where that need not be computed."""
    for wanted in filter(None, (name, slug(name), auto_v2)):
        try:
            return {"model": find_checkpoint(wanted, catalog)}
        except RequestError:
            continue
    notes.append(f"the model '{name}' is not in this server's catalogue")
    return {}


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
        hires["strength"] = strength = float(settings.get("Denoising strength", "0.5"))
        # They are counted when they are done; 0: as many as in the first pass.
        done = int(settings.get("Hires steps", "0")) or int(settings.get("Steps", "20"))
        hires["steps"] = steps_for(done, strength, MOST_STEPS)
    except (OverflowError, ValueError):
        notes.append(_not_taken(key, value))
        return {}
    return {"hires": hires}


def _from_a_picture(settings: dict[str, str]) -> Iterator[str]:
    if "Denoising strength" in settings and not any(key.startswith("Hires") for key in settings):
        yield "it was drawn over another picture, which is not in the file"
