"""Adapter files for the tests: random factors for modules of the demo model, in several namings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.formats.inventory import Inventory, Part
from ecurie.formats.sgm_names import sgm_names
from tests.conftest import DEMO_FOLDER

PREFIXES: dict[Part, str] = {
    "unet": "lora_unet_",
    "text_encoder": "lora_te1_text_model_",
    "text_encoder_2": "lora_te2_text_model_",
}


def demo_inventory() -> Inventory:
    return read_checkpoint(ModelFiles(DEMO_FOLDER)).inventory


def attention_places() -> list[tuple[Part, str]]:
    """What kohya's trainer adapts by default: the transformers' and text encoders' linear layers."""
    inventory = demo_inventory()
    unet = [path for path in inventory["unet"] if ".attentions." in path and "norm" not in path]
    places: list[tuple[Part, str]] = [("unet", path) for path in unet]
    for part in ("text_encoder", "text_encoder_2"):
        layers = [path for path in inventory[part] if "mlp.fc" in path or path.endswith("_proj")]
        places += [(part, path) for path in layers if "layers" in path]  # type: ignore[misc]
    return places


def conv_places() -> list[tuple[Part, str]]:
    unet = demo_inventory()["unet"]
    return [("unet", path) for path, source in unet.items() if len(source.shape) == 4]


def kohya_tensors(
    places: Iterable[tuple[Part, str]],
    *,
    rank: int = 4,
    alpha: float | None = 2.0,
    seed: int = 0,
    sgm: bool = False,
    tucker: bool = False,
    size: float = 0.1,
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inventory = demo_inventory()
    to_sgm = {path: name for name, path in sgm_names(set(inventory["unet"])).items()}
    tensors = {}
    for part, path in places:
        shape = inventory[part][path].shape
        name = to_sgm[path] if sgm and part == "unet" else path
        key = PREFIXES[part] + name.replace(".", "_")
        kernel = shape[2:]
        ones = (1,) * len(kernel)
        use_mid = tucker and kernel not in ((), (1, 1))
        down = (rank, shape[1], *(ones if use_mid else kernel))
        tensors[f"{key}.lora_down.weight"] = torch.randn(down, generator=generator) * size
        tensors[f"{key}.lora_up.weight"] = torch.randn((shape[0], rank, *ones), generator=generator) * size
        if use_mid:
            tensors[f"{key}.lora_mid.weight"] = torch.randn((rank, rank, *kernel), generator=generator)
        if alpha is not None:
            tensors[f"{key}.alpha"] = torch.tensor(alpha)
    return tensors


def save(file: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Path:
    save_file(
        {key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in tensors.items()},
        file,
        metadata,
    )
    return file
