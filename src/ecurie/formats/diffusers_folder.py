"""Reading a diffusers SDXL folder without torch: is it one, is it complete, what does it ask for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecurie.errors import WeightsInvalid, WeightsMissing
from ecurie.formats.safetensors_file import read_header

WEIGHT_STEMS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}
PIPELINE_CLASS = "StableDiffusionXLPipeline"


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """`size` is the model's own (width, height) in pixels, `factor` pixels per latent, `text_layers` the
    number of layers of the shallower text encoder, `variants` maps a component to `fp16` or None. `stamp`
    changes when a file of weights does: (name, modification time in ns, bytes) of each."""

    size: tuple[int, int]
    factor: int
    text_layers: int
    variants: dict[str, str | None]
    stamp: tuple[tuple[str, int, int], ...]


def read_folder(folder: Path) -> FolderFacts:
    """Check every component's configuration and the headers of its weights.

    Raises WeightsMissing when the folder or a file is absent, WeightsInvalid when it is not SDXL or damaged.
    """
    index_file = folder / "model_index.json"
    if not index_file.is_file():
        raise WeightsMissing(f"{folder} holds no model_index.json, so it is not a diffusers model folder")
    index = _read_json(index_file)
    if index.get("_class_name") != PIPELINE_CLASS:
        raise WeightsInvalid(
            f"{folder} is a {index.get('_class_name')!r} model; Écurie runs SDXL ({PIPELINE_CLASS})"
        )
    configs = {name: _read_json(folder / name / "config.json") for name in WEIGHT_STEMS}
    for name in ("tokenizer", "tokenizer_2", "scheduler"):
        if not (folder / name).is_dir():
            raise WeightsMissing(f"{folder} lacks its {name} folder")
    variants = {name: _check_weights(folder / name, stem) for name, stem in WEIGHT_STEMS.items()}
    try:
        factor = 2 ** (len(configs["vae"]["block_out_channels"]) - 1)
        side = int(configs["unet"]["sample_size"]) * factor
        layers = min(int(configs[name]["num_hidden_layers"]) for name in ("text_encoder", "text_encoder_2"))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsInvalid(f"a configuration in {folder} lacks or garbles {error}") from error
    files = sorted(file for name in WEIGHT_STEMS for file in (folder / name).glob("*.safetensors"))
    stamp = tuple((file.parent.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return FolderFacts((side, side), factor, layers, variants, stamp)


def _check_weights(folder: Path, stem: str) -> str | None:
    for variant in ("fp16", None):
        suffix = f".{variant}" if variant else ""
        single = folder / f"{stem}{suffix}.safetensors"
        shards = folder / f"{stem}.safetensors.index{suffix}.json"
        if single.is_file():
            read_header(single)
            return variant
        if shards.is_file():
            for name in _shard_names(shards):
                read_header(folder / name)
            return variant
    pickles = sorted(path.name for path in folder.glob("*.bin"))
    if pickles:
        raise WeightsInvalid(
            f"{folder} holds only {', '.join(pickles)}: pickled weights can run code and are refused",
            remedy="get the model as .safetensors",
        )
    raise WeightsMissing(f"{folder} lacks {stem}.safetensors")


def weight_files(folder: Path, name: str) -> list[Path]:
    """The files that hold a component's weights, in the variant that is loaded."""
    stem = WEIGHT_STEMS[name]
    variant = _check_weights(folder / name, stem)
    suffix = f".{variant}" if variant else ""
    single = folder / name / f"{stem}{suffix}.safetensors"
    if single.is_file():
        return [single]
    shards = folder / name / f"{stem}.safetensors.index{suffix}.json"
    return [folder / name / shard for shard in _shard_names(shards)]


def _shard_names(index_file: Path) -> list[str]:
    try:
        names = {Path(str(name)).name for name in _read_json(index_file)["weight_map"].values()}
    except (KeyError, AttributeError) as error:
        raise WeightsInvalid(f"{index_file} has no readable weight_map") from error
    return sorted(names)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is missing") from error
    except (OSError, ValueError) as error:
        raise WeightsInvalid(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise WeightsInvalid(f"{file} should hold a JSON object")
    return content
