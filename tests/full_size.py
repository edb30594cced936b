"""Files of full SDXL size that take no room: a true header, and a hole where the numbers would be."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path

from accelerate import init_empty_weights
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from bench.full_size import CONFIGS, RANK, adapted_layers, empty_parts
from ecurie.formats.diffusers_folder import WEIGHT_STEMS
from ecurie.formats.inventory import Inventory
from ecurie.formats.ip_adapter_file import PLAIN_TOKENS, cross_attentions, layer_key
from tests.conftest import DEMO_FOLDER

CROSS_WIDTH = 2048
VIT_H = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1024,
    "image_size": 224,
    "patch_size": 14,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
}


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


def sparse_ip_adapter(file: Path, inventory: Inventory) -> Path:
    """A plain one for ViT-H's embedding, beside the folder of that image encoder."""
    shapes: dict[str, tuple[int, ...]] = {
        "image_proj.proj.weight": (PLAIN_TOKENS * CROSS_WIDTH, VIT_H["projection_dim"]),
        "image_proj.proj.bias": (PLAIN_TOKENS * CROSS_WIDTH,),
        "image_proj.norm.weight": (CROSS_WIDTH,),
        "image_proj.norm.bias": (CROSS_WIDTH,),
    }
    for number, path in enumerate(cross_attentions(inventory)):
        for role in "kv":
            shapes[layer_key(number, role)] = inventory["unet"][f"{path}.to_{role}"].shape
    folder = file.parent / "image_encoder"
    with init_empty_weights():
        encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**VIT_H))
    write_sparse(
        folder / "model.safetensors", {key: tuple(one.shape) for key, one in encoder.state_dict().items()}
    )
    (folder / "config.json").write_text(json.dumps(VIT_H))
    return write_sparse(file, shapes)
