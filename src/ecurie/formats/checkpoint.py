"""A model's files, read without torch: a diffusers folder or a single file, with another VAE, with a base."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ecurie.domain import GenerationRequest
from ecurie.errors import WeightsInvalid, WeightsMissing
from ecurie.formats.diffusers_folder import read_folder
from ecurie.formats.inventory import Inventory, inventory_of
from ecurie.formats.parts import COMPONENTS, Parts
from ecurie.formats.single_file import read_single_file
from ecurie.formats.vae_file import read_vae

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """`main` is a diffusers folder or a single file; `vae` stands instead of its own; `base` lends what it
    lacks."""

    main: Path
    vae: Path | None = None
    base: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """`size` is the model's own (width, height) in pixels, `factor` pixels per latent, `text_layers` the
    number of layers of the shallower text encoder. `stamp` changes when one of its files does."""

    files: ModelFiles
    parts: Parts
    stamp: Stamp
    inventory: Inventory
    size: tuple[int, int]
    factor: int
    text_layers: int


def files_of(request: GenerationRequest) -> ModelFiles:
    """Of a settled request's model."""
    vae, base = (path and Path(path) for path in (request.vae_path, request.base_path))
    return ModelFiles(Path(request.model_path), vae or None, base or None)


def read_checkpoint(files: ModelFiles) -> Checkpoint:
    """Read configurations and headers; again only when a file has changed.

    Raises WeightsMissing (also for a part that no file has), WeightsInvalid for what is not SDXL or damaged,
    or NotBuiltYet for kinds of SDXL that cannot be run yet.
    """
    return _read(files, tuple(_stamps(files)))


def _stamps(files: ModelFiles) -> Iterator[tuple[str, int, int]]:
    for path in (files.main, files.vae, files.base):
        if path is not None:
            inside = [*path.glob("*.json"), *path.glob("*/*.json"), *path.rglob("*.safetensors")]
            for file in sorted(inside) if path.is_dir() else [path]:
                if file.exists():
                    status = file.stat()
                    yield str(file), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=16)
def _read(files: ModelFiles, stamp: Stamp) -> Checkpoint:
    base = _parts(files.base, None) if files.base else None
    parts = _parts(files.main, base)
    if files.vae is not None:
        tensors, config = read_vae(files.vae, parts.configs["vae"])
        parts = dataclasses.replace(
            parts, tensors={**parts.tensors, "vae": tensors}, configs={**parts.configs, "vae": config}
        )
    missing = [name for name in COMPONENTS if not parts.tensors.get(name)]
    if missing:
        raise WeightsMissing(
            f"{files.main} lacks its {', '.join(missing)}",
            remedy="name a model that has them in its catalogue entry, such as base: sdxl-base",
        )
    side, factor, layers = _measures(files.main, parts.configs)
    return Checkpoint(files, parts, stamp, inventory_of(parts.tensors), (side, side), factor, layers)


def _parts(path: Path, base: Parts | None) -> Parts:
    if path.is_dir():
        return read_folder(path)
    if path.suffix.casefold() in (".ckpt", ".pt", ".pth", ".bin"):
        raise WeightsInvalid(
            f"{path} is a pickle, which can run code, and is refused", remedy="get the model as .safetensors"
        )
    return read_single_file(path, base)


def _measures(path: Path, configs: Any) -> tuple[int, int, int]:
    """Side in pixels, pixels per latent, layers of the shallower text encoder."""
    try:
        factor = 2 ** (len(configs["vae"]["block_out_channels"]) - 1)
        layers = min(int(configs[name]["num_hidden_layers"]) for name in ("text_encoder", "text_encoder_2"))
        return int(configs["unet"]["sample_size"]) * factor, factor, layers
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsInvalid(f"a configuration in {path} lacks or garbles {error}") from error
