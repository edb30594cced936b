"""Random weights of the true SDXL size: a checkpoint of 7 GB in fp16 and kohya LoRAs of rank 32.

`python -m bench.full_size FOLDER` makes them, once; the other benches do it by themselves.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import ecurie
from ecurie.catalog.sources import DEMO_MODELS
from ecurie.formats.diffusers_folder import WEIGHT_STEMS

CONFIGS = Path(ecurie.__file__).parent / "sdxl"
RANK = 32
PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}


def empty_parts() -> dict[str, nn.Module]:
    """SDXL's four parts on the meta device."""
    unet, vae = (json.loads((CONFIGS / name / "config.json").read_text()) for name in ("unet", "vae"))
    with init_empty_weights():
        return {
            "unet": UNet2DConditionModel.from_config(unet),
            "vae": AutoencoderKL.from_config(vae),
            "text_encoder": CLIPTextModel(CLIPTextConfig.from_pretrained(CONFIGS / "text_encoder")),
            "text_encoder_2": CLIPTextModelWithProjection(
                CLIPTextConfig.from_pretrained(CONFIGS / "text_encoder_2")
            ),
        }


def make_checkpoint(folder: Path, device: str = "cpu") -> Path:
    """A diffusers folder; norms are ones, biases zeros, the rest normal with the deviation of a trained
    layer, drawn on `device`."""
    if (folder / "model_index.json").exists():
        return folder
    for name in ("tokenizer", "tokenizer_2"):
        shutil.copytree(DEMO_MODELS / "sdxl-base" / name, folder / name, dirs_exist_ok=True)
    shutil.copytree(CONFIGS / "scheduler", folder / "scheduler", dirs_exist_ok=True)
    for seed, (name, module) in enumerate(empty_parts().items()):
        generator = torch.Generator(device).manual_seed(seed)
        tensors = {key: _random(key, meta, generator) for key, meta in module.state_dict().items()}
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / name / f"{WEIGHT_STEMS[name]}.safetensors")
        shutil.copy(CONFIGS / name / "config.json", folder / name / "config.json")
    shutil.copy(CONFIGS / "model_index.json", folder / "model_index.json")
    return folder


def _random(key: str, meta: Tensor, generator: torch.Generator) -> Tensor:
    if meta.dim() < 2:
        return torch.full(meta.shape, 0.0 if key.endswith("bias") else 1.0, dtype=torch.float16)
    deviation = 0.02 if "embed" in key else meta[0].numel() ** -0.5
    drawn = torch.randn(meta.shape, generator=generator, device=generator.device)
    return drawn.mul_(deviation).half().cpu()


def adapted_layers() -> Iterator[tuple[str, tuple[int, int]]]:
    """What kohya's trainer adapts by default: name in the file, (outputs, inputs) of every linear layer of
    the transformers (722 in the UNet) and of the text encoders (264)."""
    for part, prefix in PREFIXES.items():
        for path, module in empty_parts()[part].named_modules():
            inside = ".attentions." in path if part == "unet" else ".layers." in path
            if isinstance(module, nn.Linear) and inside:
                name = path if part == "unet" or path.startswith("text_model.") else f"text_model.{path}"
                yield prefix + name.replace(".", "_"), (module.out_features, module.in_features)


def make_lora(file: Path, seed: int, rank: int = RANK, every: int = 1) -> Path:
    """On every n-th of the layers."""
    if file.exists():
        return file
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (outputs, inputs) in list(adapted_layers())[::every]:
        down = torch.randn(rank, inputs, generator=generator) * inputs**-0.5
        up = torch.randn(outputs, rank, generator=generator) * 0.01
        tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"] = down.half(), up.half()
        tensors[f"{name}.alpha"] = torch.tensor(rank / 2).half()
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, {"ss_base_model_version": "sdxl_base_v1-0"})
    return file


if __name__ == "__main__":
    place = Path(sys.argv[1])
    print(make_checkpoint(place / "sdxl-random"))
    for number in range(3):
        print(make_lora(place / f"lora-{number}.safetensors", seed=number))
