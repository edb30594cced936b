"""The `parameters` line that A1111 writes into images and that other tools read."""

from __future__ import annotations

import json
import re

import ecurie
from ecurie.catalog.schedulers import find_scheduler
from ecurie.domain import GenerationRequest


def _value(value: object) -> str:
    """Values with a comma, a colon or a newline are quoted as JSON strings."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ",:\n") else text


def write_infotext(request: GenerationRequest, seed: int) -> str:
    """Prompt, negative prompt, then `Key: value` pairs beginning with Steps, as A1111's grammar has it."""
    pairs: dict[str, object] = {
        "Steps": request.steps,
        "Sampler": find_scheduler(request.scheduler).label,
        "CFG scale": f"{request.guidance_scale:g}",
        "Seed": seed,
        "Size": f"{request.width}x{request.height}",
        "Model": request.model,
    }
    if request.clip_skip > 1:
        pairs["Clip skip"] = request.clip_skip
    if request.adapters:
        # A1111 strips these two marks from names here.
        names = ((re.sub("[:,]", "", use.name), use.auto_v3) for use in request.adapters)
        pairs["Lora hashes"] = ", ".join(f"{name}: {digest}" for name, digest in names)
    pairs["Version"] = f"ecurie {ecurie.__version__}"
    lines = [request.final_prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    lines.append(", ".join(f"{key}: {_value(value)}" for key, value in pairs.items()))
    return "\n".join(lines)
