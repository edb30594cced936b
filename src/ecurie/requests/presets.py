"""Presets: named settings of the catalogue that fill in what a request leaves open."""

from __future__ import annotations

from typing import Any

from ecurie.adapter_stack import LoraBody
from ecurie.catalog.catalog import Catalog
from ecurie.requests.body import GenerateBody


def with_preset(body: GenerateBody, catalog: Catalog) -> GenerateBody:
    """The body with its preset's settings where it gives none itself.

    The preset's adapters come first; one that the body names as well has the body's weights. Raises
    UnknownPreset.
    """
    if body.preset is None:
        return body
    entry = catalog.find_preset(body.preset)
    given = body.model_fields_set
    changes: dict[str, Any] = {
        name: value
        for name in ("steps", "guidance_scale", "scheduler")
        if name not in given and (value := getattr(entry, name)) is not None
    }
    named = {lora.name for lora in body.loras}
    loras = [LoraBody(**lora.model_dump()) for lora in entry.adapters if lora.name not in named]
    return body.model_copy(update={**changes, "loras": [*loras, *body.loras]})
