"""What modules a model has, from the headers of its weights: what adapters are checked against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ecurie.formats.diffusers_folder import weight_files
from ecurie.formats.safetensors_file import read_header

Part = Literal["unet", "text_encoder", "text_encoder_2"]
PARTS: tuple[Part, ...] = ("unet", "text_encoder", "text_encoder_2")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a module's pristine weight lies: tensor `key` of `file`, of this shape; and its bias, if any."""

    file: Path
    key: str
    shape: tuple[int, ...]
    bias: Source | None = None


Inventory = Mapping[Part, Mapping[str, Source]]
"""Weights by part and module path: `down_blocks.1.attentions.0.proj_in`. Paths of text encoders are without
the `text_model.` that some versions of transformers put before them."""


def read_inventory(folder: Path, stamp: object) -> Inventory:
    """The modules with a weight of a diffusers folder; `stamp` tells states of its files apart."""
    return _read_inventory(folder, stamp)


@lru_cache(maxsize=8)
def _read_inventory(folder: Path, _stamp: object) -> Inventory:
    return {part: _modules_of(folder, part) for part in PARTS}


def _modules_of(folder: Path, part: Part) -> dict[str, Source]:
    tensors = {
        key: Source(file, key, info.shape)
        for file in weight_files(folder, part)
        for key, info in read_header(file).tensors.items()
    }
    return {
        canonical_path(part, name): Source(weight.file, key, weight.shape, tensors.get(f"{name}.bias"))
        for key, weight in tensors.items()
        if (name := key.removesuffix(".weight")) != key
    }


def canonical_path(part: Part, path: str) -> str:
    return path if part == "unet" else path.removeprefix("text_model.")
