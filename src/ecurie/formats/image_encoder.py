"""The CLIP image encoder that an IP-Adapter looks at references with: a folder as transformers writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecurie.errors import AdapterMismatch, WeightsInvalid, WeightsMissing
from ecurie.formats.ip_adapter_file import IpAdapterFile, IpAdapterKind
from ecurie.formats.parts import Source
from ecurie.formats.safetensors_file import Stamp, read_header, stamp_of

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
# Kept by older versions of transformers; a count from 0 on.
POSITIONS = "embeddings.position_ids"
NUMBERS = ("hidden_size", "projection_dim", "image_size", "patch_size", "num_hidden_layers")


@dataclass(frozen=True, slots=True)
class ImageEncoder:
    """`tensors` by name of its module; `weights` is their file."""

    folder: Path
    config: dict[str, Any]
    tensors: Mapping[str, Source]
    weights: Path
    stamp: Stamp

    def width_for(self, kind: IpAdapterKind) -> int:
        """What it gives to an adapter of that kind: its embedding's width, or its hidden states'."""
        width: int = self.config["projection_dim" if kind is IpAdapterKind.PLAIN else "hidden_size"]
        return width

    @property
    def image_size(self) -> int:
        size: int = self.config["image_size"]
        return size


def read_image_encoder(folder: Path) -> ImageEncoder:
    """Raises WeightsMissing, or WeightsInvalid for anything but a CLIP vision model with projection."""
    weights = folder / WEIGHTS_FILE
    stamp = stamp_of(weights)
    tensors = {
        key: Source(weights, key, info.shape)
        for key, info in read_header(weights).tensors.items()
        if not key.endswith(POSITIONS)
    }
    if "visual_projection.weight" not in tensors:
        raise WeightsInvalid(
            f"{weights} is no CLIP image encoder: it has no visual_projection.weight",
            remedy="name a CLIPVisionModelWithProjection, such as models/image_encoder of h94/IP-Adapter",
        )
    return ImageEncoder(folder, _config(folder / CONFIG_FILE), tensors, weights, stamp)


def _config(file: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(file.read_text())
        wrong = [name for name in NUMBERS if not isinstance(config[name], int) or config[name] < 1]
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is missing") from error
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise WeightsInvalid(f"{file} cannot be read: {type(error).__name__} {error}") from error
    if wrong:
        raise WeightsInvalid(f"{file}: {wrong[0]} is no positive whole number")
    return config


def refuse_other_encoder(adapter: IpAdapterFile, encoder: ImageEncoder) -> None:
    """Raises AdapterMismatch when the adapter was trained with another image encoder."""
    width = encoder.width_for(adapter.kind)
    if width != adapter.encoder_width:
        raise AdapterMismatch(
            f"{adapter.file} wants an image encoder that gives {adapter.encoder_width} numbers; "
            f"{encoder.folder} gives {width}",
            remedy="correct image_encoder in the catalogue: vit-h adapters need ViT-H, the others ViT-bigG",
        )
