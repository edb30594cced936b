"""LyCORIS as oracle: what its modules compute when they train, their forward pass, beside our weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.dylora import DyLoraModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from torch import Tensor, nn
from torch.nn import functional

from bench.peft_oracle import TEXT_PLACE, pristine, relative_error
from ecurie.adapters.deltas import ALGORITHMS, Delta
from ecurie.adapters.deltas.dora import Dora


def text_layer() -> nn.Module:
    """A layer of a real text encoder, with its weights."""
    source = pristine("text_encoder").get_submodule(TEXT_PLACE)
    layer = nn.Linear(source.weight.shape[1], source.weight.shape[0])
    layer.load_state_dict(source.state_dict())
    return layer


LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(24, 32),
    "1×1 conv": lambda: nn.Conv2d(24, 32, 1),
    "3×3 conv": lambda: nn.Conv2d(24, 32, 3, padding=1),
    "text encoder": text_layer,
}
RENAMED = {"lora_up.weight": "up", "lora_down.weight": "down", "lora_mid.weight": "mid"}
DORA: dict[str, Any] = {"weight_decompose": True}
COLUMNS = DORA | {"wd_on_out": False}

# Name: our algorithm, their module, their options.
CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "LoRA": ("LoRA", LoConModule, {}),
    "LoRA, trained scalar": ("LoRA", LoConModule, {"use_scalar": True}),
    "LoRA, rank-stabilised": ("LoRA", LoConModule, {"rs_lora": True}),
    "LoCon, Tucker": ("LoRA", LoConModule, {"use_tucker": True}),
    "DyLoRA": ("LoRA", DyLoraModule, {"block_size": 1}),
    "DoRA, output rows": ("LoRA", LoConModule, DORA),
    "DoRA, input columns": ("LoRA", LoConModule, COLUMNS),
    "DoRA, Tucker": ("LoRA", LoConModule, DORA | {"use_tucker": True}),
    "LoHa": ("LoHa", LohaModule, {}),
    "LoHa, Tucker": ("LoHa", LohaModule, {"use_tucker": True}),
    "LoHa, rank-stabilised": ("LoHa", LohaModule, {"rs_lora": True}),
    "LoHa, DoRA": ("LoHa", LohaModule, DORA),
    "LoHa, DoRA of input columns": ("LoHa", LohaModule, COLUMNS),
    "LoKr": ("LoKr", LokrModule, {}),
    "LoKr, factor 4": ("LoKr", LokrModule, {"factor": 4}),
    "LoKr, both factored": ("LoKr", LokrModule, {"decompose_both": True, "factor": 16}),
    "LoKr, Tucker": ("LoKr", LokrModule, {"use_tucker": True, "factor": 2}),
    "LoKr, whole": ("LoKr", LokrModule, {"full_matrix": True}),
    "LoKr, rank-stabilised": ("LoKr", LokrModule, {"rs_lora": True, "factor": 2}),
    "LoKr, DoRA": ("LoKr", LokrModule, DORA),
    "LoKr, DoRA of input columns": ("LoKr", LokrModule, COLUMNS),
    "GLoRA": ("GLoRA", GLoRAModule, {}),
    "GLoRA, Tucker": ("GLoRA", GLoRAModule, {"use_tucker": True}),
    "GLoRA, rank-stabilised": ("GLoRA", GLoRAModule, {"rs_lora": True}),
    "(IA)^3": ("(IA)^3", IA3Module, {}),
    "(IA)^3, on inputs": ("(IA)^3", IA3Module, {"train_on_input": True}),
    "Diag-OFT": ("Diag-OFT", DiagOFTModule, {}),
    "Diag-OFT, rescaled": ("Diag-OFT", DiagOFTModule, {"rescaled": True}),
    "Diag-OFT, constrained": ("Diag-OFT", DiagOFTModule, {"constraint": 0.01}),
    "BOFT": ("BOFT", ButterflyOFTModule, {}),
    "BOFT, rescaled": ("BOFT", ButterflyOFTModule, {"rescaled": True, "constraint": 0.01}),
    "full": ("full", FullModule, {}),
}
# Their files say so in the metadata only.
STABILISED_BY_METADATA = ("GLoRA", "LoKr")
NORM_LAYERS: dict[str, Callable[[], nn.Module]] = {
    "group norm": lambda: nn.GroupNorm(4, 32),
    "layer norm": lambda: nn.LayerNorm(32),
}


def trained(kind: Any, layer: nn.Module, multiplier: float, options: dict[str, Any]) -> Any:
    """A LyCORIS module with random weights, as after a training."""
    module = kind("x", layer, multiplier=multiplier, bypass_mode=False, **options)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "dora_scale" in name:
                parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
            elif "rescale" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
            elif name == "scalar":
                parameter.fill_(1.7)
            elif not name.startswith("org"):
                parameter.copy_(torch.randn_like(parameter) * 0.2)
    return module.eval()


def stored(module: Any) -> dict[str, Tensor]:
    """What the module writes into a file, by our names of roles."""
    if isinstance(module, FullModule):
        # Before `apply_to`, its parameters are the differences themselves.
        return {"diff": module.weight.detach(), "diff_b": module.bias.detach()}
    state = {name: tensor.detach().float() for name, tensor in module.state_dict().items()}
    names = {name: RENAMED.get(name, name.removesuffix(".weight")) for name in state}
    return {("weight" if name == "weight" else names[name]): tensor for name, tensor in state.items()}


def delta_of(algorithm: str, tensors: dict[str, Tensor]) -> Delta:
    delta = ALGORITHMS[algorithm](tensors)
    return Dora(delta, tensors["dora_scale"], scales_delta=False) if "dora_scale" in tensors else delta


def patched(base: nn.Module, algorithm: str, tensors: dict[str, Tensor], multiplier: float) -> Tensor:
    weight = base.weight.detach()
    return weight + delta_of(algorithm, tensors).of(weight, multiplier)


def _act(base: nn.Module, inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if isinstance(base, nn.Conv2d):
        return functional.conv2d(inputs, weight, bias, padding=base.padding)
    return functional.linear(inputs, weight, bias)


def _theirs(module: Any, base: nn.Module, inputs: Tensor, multiplier: float) -> Tensor:
    if isinstance(module, DyLoraModule):
        # Its forward pass takes a random rank: this is the full one.
        weight, _ = module.get_merged_weight(multiplier, rank=module.block_count - 1)
        return _act(base, inputs, weight, base.bias)
    output: Tensor = module(inputs)
    return output


@torch.no_grad()
def error(name: str, layer: str, rank: int, alpha: float, multiplier: float) -> float:
    """How far a layer with our weight is from the trained module, on random inputs: relative."""
    torch.manual_seed(rank + list(CASES).index(name) * 10)
    algorithm, kind, options = CASES[name]
    base = LAYERS[layer]()
    module = trained(kind, base, multiplier, {"lora_dim": rank, "alpha": alpha} | options)
    tensors = stored(module)
    if options.get("rs_lora") and algorithm in STABILISED_BY_METADATA:
        tensors["rank_stabilised"] = torch.tensor(1.0)
    bias = base.bias.detach()
    if "diff_b" in tensors:
        bias = bias + tensors["diff_b"] * multiplier
    inputs = torch.randn(2, 24, 5, 5) if isinstance(base, nn.Conv2d) else torch.randn(3, base.weight.shape[1])
    got = _act(base, inputs, patched(base, algorithm, tensors, multiplier), bias)
    assert relative_error(got, base(inputs)) > 1e-4, f"{name} hardly changes the {layer}"
    return relative_error(got, _theirs(module, base, inputs, multiplier))


@torch.no_grad()
def norm_error(layer: str, multiplier: float) -> float:
    """The same for the weights and biases of a norm."""
    torch.manual_seed(3)
    base = NORM_LAYERS[layer]()
    module = trained(NormModule, base, multiplier, {})
    tensors = stored(module)
    weight = patched(base, "norm", tensors, multiplier)
    bias = base.bias + tensors["b_norm"] * multiplier
    inputs = torch.randn(2, 32, 4, 4) if layer == "group norm" else torch.randn(3, 32)
    if isinstance(base, nn.GroupNorm):
        got = functional.group_norm(inputs, base.num_groups, weight, bias, base.eps)
    else:
        got = functional.layer_norm(inputs, (32,), weight, bias)
    return relative_error(got, module(inputs))
