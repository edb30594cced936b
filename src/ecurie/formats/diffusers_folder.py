"""Reading a diffusers SDXL folder without torch: is it one, is it complete, what does it ask for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecurie.errors import WeightsInvalid, WeightsMissing
from ecurie.formats.parts import COMPONENTS, Parts, Source, Tensors
from ecurie.formats.safetensors_file import read_header
from ecurie.formats.vae_names import diffusers_vae

WEIGHT_STEMS = {
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "text_encoder": "model",
    "text_encoder_2": "model",
}
PIPELINE_CLASS = "StableDiffusionXLPipeline"
# Positions that old files of CLIP store: CLIP counts them itself.
POSITIONS = "embeddings.position_ids"


def read_folder(folder: Path) -> Parts:
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
    configs = {name: _read_json(folder / name / "config.json") for name in COMPONENTS}
    for name in ("tokenizer", "tokenizer_2", "scheduler"):
        if not (folder / name).is_dir():
            raise WeightsMissing(f"{folder} lacks its {name} folder")
    tensors: dict[str, Tensors] = {name: tensors_of(folder, name) for name in COMPONENTS}
    return Parts(
        tensors=tensors | {"vae": diffusers_vae(tensors["vae"])},
        configs=configs,
        tokenizers=(folder / "tokenizer", folder / "tokenizer_2"),
        scheduler_config=_read_json(folder / "scheduler" / "scheduler_config.json"),
        zero_empty_negative=bool(index.get("force_zeros_for_empty_prompt", True)),
    )


def tensors_of(folder: Path, component: str) -> dict[str, Source]:
    """Every tensor of a component, by its key. Raises WeightsMissing or WeightsInvalid."""
    return {
        key: Source(file, key, info.shape)
        for file in weight_files(folder, component)
        for key, info in read_header(file).tensors.items()
        if not key.endswith(POSITIONS)
    }


def weight_files(folder: Path, name: str) -> list[Path]:
    """The files that hold a component's weights: in half precision where the folder has them so.

    Raises WeightsMissing, or WeightsInvalid for pickles.
    """
    stem, inside = WEIGHT_STEMS[name], folder / name
    for suffix in (".fp16", ""):
        single = inside / f"{stem}{suffix}.safetensors"
        shards = inside / f"{stem}.safetensors.index{suffix}.json"
        if single.is_file():
            return [single]
        if shards.is_file():
            return [inside / shard for shard in _shard_names(shards)]
    pickles = sorted(path.name for path in inside.glob("*.bin"))
    if pickles:
        raise WeightsInvalid(
            f"{inside} holds only {', '.join(pickles)}: pickled weights can run code and are refused",
            remedy="get the model as .safetensors",
        )
    raise WeightsMissing(f"{inside} lacks {stem}.safetensors")


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
