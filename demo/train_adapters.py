"""Train the demo adapters on the demo base: `python -m demo.train_adapters` (about ten minutes on two cores).

With the trainers' own modules, so that the files are what users' files are: a kohya LoRA, a PEFT LoRA, a
LyCORIS LoKr and a LyCORIS LoHa, each of another look (`demo/styles.py`).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from demo import emoji, networks
from demo.styles import STYLES
from demo.train import denoising_loss, descend, encode, with_empty

BATCH, EMPTY_SHARE, PEAK, WARM_UP = 16, 0.05, 3e-3, 20
BASE = Path("src/ecurie/demo_models/sdxl-base")
OUTPUT = Path("src/ecurie/demo_models/adapters")
PEFT_TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"]


@dataclass(frozen=True)
class Recipe:
    """What an adapter is trained with; `module` is a LyCORIS class, or None for PEFT."""

    triggers: tuple[str, ...]
    module: Any
    options: dict[str, Any]
    steps: int


RECIPES = {
    "style-anime": Recipe(("anime style", "detailed"), LoConModule, {"lora_dim": 8, "alpha": 8}, 220),
    "character-detailed": Recipe(("detailed character",), None, {"r": 8, "lora_alpha": 8}, 220),
    "cyberpunk-style": Recipe(("cyberpunk", "neon"), LokrModule, {"lora_dim": 10_000, "factor": 6}, 900),
    "ink-sketch": Recipe(("ink sketch",), LohaModule, {"lora_dim": 6, "alpha": 6}, 280),
}


def adapted(unet: nn.Module) -> dict[str, nn.Module]:
    """The transformers' linear layers and the ResNets' convolutions by module path."""
    kinds = (nn.Linear, nn.Conv2d)
    return {
        path: module
        for path, module in unet.named_modules()
        if isinstance(module, kinds) and (".attentions." in path or ".conv" in path)
    }


def attach(unet: nn.Module, recipe: Recipe) -> tuple[list[nn.Parameter], Callable[[], dict[str, Tensor]]]:
    """Put the adapter's modules on the UNet; returns its parameters, and what makes the file's tensors."""
    if recipe.module is None:
        unet.add_adapter(LoraConfig(target_modules=[*PEFT_TARGETS, "conv1", "conv2"], **recipe.options))
        parameters = [parameter for parameter in unet.parameters() if parameter.requires_grad]
        return parameters, lambda: {f"unet.{k}": v for k, v in get_peft_model_state_dict(unet).items()}
    modules = {}
    for path, layer in adapted(unet).items():
        name = f"lora_unet_{path.replace('.', '_')}"
        modules[name] = recipe.module(name, layer, bypass_mode=False, **recipe.options)
        modules[name].apply_to()
    parameters = [
        parameter
        for module in modules.values()
        for name, parameter in module.named_parameters()
        if not name.startswith("org")
    ]

    def tensors() -> dict[str, Tensor]:
        states = {name: module.custom_state_dict() for name, module in modules.items()}
        return {f"{name}.{role}": tensor for name, state in states.items() for role, tensor in state.items()}

    return parameters, tensors


def train_one(name: str, drawings: emoji.Drawings, base: Path, output: Path, seed: int, share: float) -> None:
    """Train on the common emoji in the adapter's look, captioned with its trigger words."""
    recipe = RECIPES[name]
    torch.manual_seed(seed)
    pipeline = StableDiffusionXLPipeline.from_pretrained(base, torch_dtype=torch.float32)
    for module in (pipeline.unet, pipeline.vae, pipeline.text_encoder, pipeline.text_encoder_2):
        module.requires_grad_(False)
    chosen = [index for index, found in enumerate(drawings.names) if found in emoji.COMMON] or [0]
    rgba = torch.from_numpy(drawings.pixels[chosen]).permute(0, 3, 1, 2).float() / 255
    latents = latents_of(pipeline.vae, STYLES[name](rgba))
    parameters, tensors = attach(pipeline.unet, recipe)
    optimizer = torch.optim.AdamW(parameters, PEAK, weight_decay=0.0)
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
    tokenizers = (pipeline.tokenizer, pipeline.tokenizer_2)
    steps = max(1, round(recipe.steps * share))
    smoothed = 1.0
    for step in range(steps):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        dice = random.Random(seed * 1_000_003 + step)
        picked = torch.randint(len(chosen), (BATCH,), generator=generator)
        names = [drawings.names[chosen[index]] for index in picked.tolist()]
        captions = [", ".join((emoji.caption(found, dice), *recipe.triggers)) for found in names]
        with torch.no_grad():
            embeds, pooled = encode(captions, tokenizers, encoders)
        embeds, pooled = with_empty(embeds, pooled, EMPTY_SHARE, generator)
        loss = denoising_loss(pipeline.unet, latents[picked], embeds, pooled, generator)
        rate = PEAK * min(1.0, (step + 1) / WARM_UP, (steps - step) / (0.5 * steps))
        descend(optimizer, loss, rate)
        smoothed = loss.item() if step == 0 else 0.95 * smoothed + 0.05 * loss.item()
        if (step + 1) % 25 == 0:
            print(f"{name} step {step + 1} loss {smoothed:.4f}", flush=True)
    metadata = {
        "modelspec.title": name,
        "modelspec.architecture": "stable-diffusion-xl-v1-base/lora",
        "modelspec.trigger_phrase": ", ".join(recipe.triggers),
        "ss_output_name": name,
        "ss_base_model_version": "sdxl_base_v1-0",
    }
    output.mkdir(parents=True, exist_ok=True)
    half = {key: tensor.detach().half().contiguous() for key, tensor in tensors().items()}
    save_file(half, output / f"{name}.safetensors", metadata)
    (output / f"{name}.safetensors").chmod(0o644)


@torch.no_grad()
def latents_of(vae: nn.Module, images: Tensor) -> Tensor:
    encoded = [vae.encode(part).latent_dist.mean for part in images.split(32)]
    return torch.cat(encoded) * vae.config.scaling_factor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(RECIPES))
    parser.add_argument("--data", type=Path, default=Path("build/demo/package"))
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--share", type=float, default=1.0, help="of each recipe's steps")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    emoji.fetch(options.data)
    drawings = emoji.draw(options.data, networks.IMAGE_SIZE)
    for name in options.names:
        train_one(name, drawings, options.base, options.output, options.seed, options.share)


if __name__ == "__main__":
    main()
