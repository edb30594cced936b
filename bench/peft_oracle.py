"""PEFT as oracle: adapters that PEFT makes, saves and merges, beside what Écurie makes of the files."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from torch import Tensor, nn
from transformers import CLIPTextModel

from ecurie.adapters.reader import Adapter, load_adapter
from ecurie.catalog.sources import DEMO_MODELS
from ecurie.formats.adapter_file import AdapterFile, read_adapter
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.formats.inventory import Inventory

FOLDER = DEMO_MODELS / "sdxl-base"
RESNET = "down_blocks.1.resnets.0"
# Layer: the module that a file adapts.
UNET_PLACES = {
    "linear": "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k",
    "1×1 conv": f"{RESNET}.conv_shortcut",
    "3×3 conv": f"{RESNET}.conv1",
}
TEXT_PLACE = "encoder.layers.1.mlp.fc1"
MARKS = ("lora_", "hada_", "lokr_", "oft_", "ia3_")

Fields = dict[str, Any]
CASES: dict[str, tuple[str, Callable[..., Any], Fields]] = {
    "LoRA": ("LoRA", LoraConfig, {"init_lora_weights": False}),
    "LoRA, rank-stabilised": ("LoRA", LoraConfig, {"init_lora_weights": False, "use_rslora": True}),
    "DoRA": ("LoRA (DoRA)", LoraConfig, {"init_lora_weights": False, "use_dora": True}),
    "LoHa": ("LoHa", LoHaConfig, {"init_weights": False}),
    "LoHa, Tucker": ("LoHa", LoHaConfig, {"init_weights": False, "use_effective_conv2d": True}),
    "LoKr": ("LoKr", LoKrConfig, {"init_weights": False}),
    "LoKr, both factored": (
        "LoKr",
        LoKrConfig,
        {"init_weights": False, "decompose_both": True, "decompose_factor": 16},
    ),
    "LoKr, Tucker": (
        "LoKr",
        LoKrConfig,
        {"init_weights": False, "use_effective_conv2d": True, "decompose_factor": 2},
    ),
    "LoKr, whole": ("LoKr", LoKrConfig, {"init_weights": False, "r": 64}),
    "OFT": ("OFT", OFTConfig, {"use_cayley_neumann": False}),
    "OFT, Neumann": ("OFT", OFTConfig, {}),
    "OFT, Neumann of 3 terms": ("OFT", OFTConfig, {"num_cayley_neumann_terms": 3}),
    "OFT, one shared block": ("OFT", OFTConfig, {"block_share": True}),
    "OFT, constrained": ("OFT", OFTConfig, {"coft": True, "eps": 0.3, "use_cayley_neumann": False}),
    "(IA)^3": ("(IA)^3", IA3Config, {}),
    "(IA)^3, on inputs": ("(IA)^3", IA3Config, {"feedforward_modules": True}),
}
SCALES = {LoraConfig, LoHaConfig, LoKrConfig}


@functools.cache
def inventory() -> Inventory:
    return read_checkpoint(ModelFiles(FOLDER)).inventory


@functools.cache
def pristine(part: str) -> nn.Module:
    kind = UNet2DConditionModel if part == "unet" else CLIPTextModel
    model: nn.Module = kind.from_pretrained(FOLDER / part, torch_dtype=torch.float32, local_files_only=True)
    return model


def config_of(name: str, targets: list[str], rank: int, alpha: float) -> Any:
    _, kind, fields = CASES[name]
    if kind is OFTConfig:
        return kind(target_modules=targets, r=0, oft_block_size=2 * rank, **fields)
    if kind is IA3Config:
        inputs = targets if fields else []
        return kind(target_modules=targets, feedforward_modules=inputs)
    strength = {"lora_alpha": alpha} if kind is LoraConfig else {"alpha": alpha}
    return kind(**{"target_modules": targets, "r": rank, **strength, **fields})


def trained(part: str, config: Any, seed: int = 0) -> Any:
    """A PEFT model with random factors, as after a training."""
    model = get_peft_model(copy.deepcopy(pristine(part)), config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "magnitude" in name or "ia3_" in name:
                parameter.mul_(1 + 0.2 * noise)
            elif any(mark in name for mark in MARKS):
                parameter.copy_(0.2 * noise)
    return model


def save_folder(model: Any, folder: Path) -> Path:
    """As PEFT saves: the configuration beside the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
    return folder / "adapter_model.safetensors"


def save_by_diffusers(model: Any, part: str, folder: Path) -> Path:
    """As diffusers saves: one file with the configuration in its metadata."""
    state = {
        key.removeprefix("base_model.model."): tensor
        for key, tensor in get_peft_model_state_dict(model).items()
    }
    parts = {
        f"{part}_lora_layers": state,
        f"{part}_lora_adapter_metadata": model.peft_config["default"].to_dict(),
    }
    StableDiffusionXLPipeline.save_lora_weights(folder, **parts, weight_name="a.safetensors")
    return folder / "a.safetensors"


def merged(model: Any, config: Any, multiplier: float) -> Mapping[str, Tensor]:
    """PEFT's merged weights at a multiplier, by parameter name.

    PEFT scales LoRA, LoHa and LoKr itself; OFT and (IA)^3 it merges at 1 only: the change is scaled here.
    """
    scales = type(config) in SCALES
    part = "text_encoder" if isinstance(model.base_model.model, CLIPTextModel) else "unet"
    before = dict(pristine(part).named_parameters())
    if scales:
        for module in model.modules():
            if hasattr(module, "set_scale"):
                module.set_scale("default", multiplier)
    after = dict(model.merge_and_unload().named_parameters())
    if scales:
        return after
    return {name: before[name] + multiplier * (after[name] - before[name]) for name in before}


def ours(file: Path) -> tuple[AdapterFile, Adapter]:
    described = read_adapter(file, inventory())
    return described, load_adapter(described, "0" * 64)


def changed(adapter: Adapter, multiplier: float) -> dict[tuple[str, str], tuple[Tensor, Tensor]]:
    """(part, parameter name) to the pristine tensor and ours."""
    found = {}
    for (part, path, kind), delta in adapter.deltas.items():
        base = dict(pristine(part).named_parameters())[f"{path}.{kind}"].detach()
        found[part, f"{path}.{kind}"] = base, base + delta.of(base, multiplier)
    return found


def relative_error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


@torch.no_grad()
def errors(name: str, rank: int, alpha: float, multiplier: float, folder: Path) -> dict[str, float]:
    """The greatest relative error for each layer of the table, files of all four written and read."""
    found = {}
    for part, places in (("unet", UNET_PLACES), ("text_encoder", {"text encoder": TEXT_PLACE})):
        config = config_of(name, list(places.values()), rank, alpha)
        model = trained(part, config)
        file = save_folder(model, folder) if part == "unet" else save_by_diffusers(model, part, folder)
        _, adapter = ours(file)
        theirs = merged(model, config, multiplier)
        both = changed(adapter, multiplier)
        for layer, path in places.items():
            pairs = [
                (pair[1], theirs[key])
                for (_, key), pair in both.items()
                if key in (f"{path}.weight", f"{path}.bias")
            ]
            assert pairs, f"the file leaves {path} alone"
            assert relative_error(*both[part, f"{path}.weight"]) > 1e-3, f"{path} hardly changes"
            found[layer] = max(relative_error(*pair) for pair in pairs)
    return found
