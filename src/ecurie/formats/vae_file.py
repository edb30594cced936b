"""A VAE that stands instead of a model's own: a diffusers folder (of a VAE or a whole model), or one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecurie.errors import WeightsInvalid, WeightsMissing
from ecurie.formats.parts import Source
from ecurie.formats.safetensors_file import read_header
from ecurie.formats.vae_names import diffusers_vae

PREFIX = "first_stage_model."
STEM = "diffusion_pytorch_model"


def read_vae(path: Path, config: dict[str, Any]) -> tuple[dict[str, Source], dict[str, Any]]:
    """Its tensors by diffusers' names, and its configuration: a single file has that of the model's own VAE.

    Raises WeightsMissing or WeightsInvalid.
    """
    if not path.is_dir():
        return _of_file(path), config
    folder = path / "vae" if (path / "vae").is_dir() else path
    for name in (f"{STEM}.fp16.safetensors", f"{STEM}.safetensors"):
        if (folder / name).is_file():
            try:
                return _of_file(folder / name), json.loads((folder / "config.json").read_text())
            except (OSError, ValueError) as error:
                raise WeightsInvalid(f"{folder / 'config.json'} cannot be read: {error}") from error
    raise WeightsMissing(f"{folder} lacks {STEM}.safetensors")


def _of_file(file: Path) -> dict[str, Source]:
    tensors = {
        key.removeprefix(PREFIX): Source(file, key, info.shape)
        for key, info in read_header(file).tensors.items()
        if key.startswith((PREFIX, "encoder.", "decoder.", "quant_conv.", "post_quant_conv."))
    }
    if "decoder.conv_in.weight" not in tensors:
        raise WeightsInvalid(f"{file} is no VAE: it has no decoder.conv_in.weight")
    return diffusers_vae(tensors)
