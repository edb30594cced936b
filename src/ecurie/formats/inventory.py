"""What modules a model has: what adapters are checked against, and where their pristine weights lie."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

from ecurie.formats.parts import Source, Tensors

Part = Literal["unet", "text_encoder", "text_encoder_2"]
PARTS: tuple[Part, ...] = ("unet", "text_encoder", "text_encoder_2")
Inventory = Mapping[Part, Mapping[str, Source]]
"""Weights by part and module path: `down_blocks.1.attentions.0.proj_in`. Paths of text encoders are without
the `text_model.` that some versions of transformers put before them."""


def inventory_of(tensors: Mapping[str, Tensors]) -> Inventory:
    """The modules with a weight, each with its bias."""
    return {part: _modules_of(part, tensors[part]) for part in PARTS}


def _modules_of(part: Part, tensors: Tensors) -> dict[str, Source]:
    return {
        canonical_path(part, name): dataclasses.replace(weight, bias=tensors.get(f"{name}.bias"))
        for key, weight in tensors.items()
        if (name := key.removesuffix(".weight")) != key
    }


def canonical_path(part: Part, path: str) -> str:
    return path if part == "unet" else path.removeprefix("text_model.")
