"""Files of full SDXL size that take no room: a true header, and a hole where the numbers would be."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.full_size import CONFIGS, RANK, adapted_layers, empty_parts
from ecurie.formats.diffusers_folder import WEIGHT_STEMS
from tests.conftest import DEMO_FOLDER


def write_sparse(file: Path, shapes: Mapping[str, tuple[int, ...]]) -> Path:
    """A safetensors file of float16 zeros."""
    header, end = {}, 0
    for key, shape in shapes.items():
        begin, end = end, end + 2 * math.prod(shape)
        header[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)
    return file


def sparse_checkpoint(folder: Path) -> Path:
    """A diffusers folder of SDXL in float16."""
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(DEMO_FOLDER / name, folder / name)
    shutil.copytree(CONFIGS / "scheduler", folder / "scheduler")
    shutil.copy(CONFIGS / "model_index.json", folder / "model_index.json")
    for name, module in empty_parts().items():
        shapes = {key: tuple(meta.shape) for key, meta in module.state_dict().items()}
        write_sparse(folder / name / f"{WEIGHT_STEMS[name]}.safetensors", shapes)
        shutil.copy(CONFIGS / name / "config.json", folder / name / "config.json")
    return folder


def sparse_lora(file: Path, every: int = 1) -> Path:
    """On every n-th of the layers that kohya's trainer adapts, of rank 32; without alphas."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (outputs, inputs) in list(adapted_layers())[::every]:
        shapes[f"{name}.lora_down.weight"] = (RANK, inputs)
        shapes[f"{name}.lora_up.weight"] = (outputs, RANK)
    return write_sparse(file, shapes)
