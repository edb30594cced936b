"""The oracle: what `lycoris-lora`'s own modules compute when they train (their forward pass)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from torch import Tensor, nn
from torch.nn import functional

from ecurie.adapters.deltas import ALGORITHMS
from ecurie.adapters.deltas.dora import Dora

LAYERS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(24, 32),
    "1×1 conv": lambda: nn.Conv2d(24, 32, 1),
    "3×3 conv": lambda: nn.Conv2d(24, 32, 3, padding=1),
    "text encoder": lambda: nn.Linear(32, 32),
}
RENAMED = {"lora_up.weight": "up", "lora_down.weight": "down", "lora_mid.weight": "mid"}

# Name: our algorithm, their module, their options.
CASES: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "LoRA": ("LoRA", LoConModule, {}),
    "LoCon, Tucker": ("LoRA", LoConModule, {"use_tucker": True}),
    "LoRA, rank-stabilised": ("LoRA", LoConModule, {"rs_lora": True}),
    "DoRA, output rows": ("LoRA", LoConModule, {"weight_decompose": True}),
    "DoRA, input columns": ("LoRA", LoConModule, {"weight_decompose": True, "wd_on_out": False}),
    "LoHa": ("LoHa", LohaModule, {}),
    "LoHa, Tucker": ("LoHa", LohaModule, {"use_tucker": True}),
    "LoHa, DoRA": ("LoHa", LohaModule, {"weight_decompose": True}),
    "LoKr": ("LoKr", LokrModule, {}),
    "LoKr, factor 4": ("LoKr", LokrModule, {"factor": 4}),
    "LoKr, both factored": ("LoKr", LokrModule, {"decompose_both": True, "factor": 16}),
    "LoKr, Tucker": ("LoKr", LokrModule, {"use_tucker": True, "factor": 2}),
    "LoKr, whole": ("LoKr", LokrModule, {"full_matrix": True}),
    "LoKr, DoRA": ("LoKr", LokrModule, {"weight_decompose": True}),
    "GLoRA": ("GLoRA", GLoRAModule, {}),
    "(IA)^3": ("(IA)^3", IA3Module, {}),
    "(IA)^3, on input": ("(IA)^3", IA3Module, {"train_on_input": True}),
    "Diag-OFT": ("Diag-OFT", DiagOFTModule, {}),
    "Diag-OFT, rescaled": ("Diag-OFT", DiagOFTModule, {"rescaled": True}),
    "Diag-OFT, constrained": ("Diag-OFT", DiagOFTModule, {"constraint": 0.01}),
    "BOFT": ("BOFT", ButterflyOFTModule, {}),
    "BOFT, rescaled": ("BOFT", ButterflyOFTModule, {"rescaled": True, "constraint": 0.01}),
    "full": ("full", FullModule, {}),
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


def cases() -> Iterator[Any]:
    for name, layer in ((name, layer) for name in CASES for layer in LAYERS):
        for rank, alpha, multiplier in ((4, 1.0, 1.0), (4, 4.0, 0.3), (8, 2.0, -0.7)):
            yield pytest.param(name, layer, rank, alpha, multiplier, id=f"{name}-{layer}-{rank}-{multiplier}")


def relative_error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


@pytest.mark.parametrize(("name", "layer", "rank", "alpha", "multiplier"), cases())
def test_the_patched_weight_acts_as_the_trained_module(
    name: str, layer: str, rank: int, alpha: float, multiplier: float
) -> None:
    torch.manual_seed(hash((name, layer, rank)) % 1000)
    algorithm, kind, options = CASES[name]
    base = LAYERS[layer]()
    settings = {"lora_dim": rank, "alpha": alpha} | options
    module = trained(kind, base, multiplier, settings)
    tensors = stored(module)
    delta = ALGORITHMS[algorithm](tensors)
    if "dora_scale" in tensors:
        delta = Dora(delta, tensors["dora_scale"], scales_delta=False)
    bias = base.bias.detach()
    if "diff_b" in tensors:
        bias = bias + tensors["diff_b"] * multiplier
    weight = base.weight.detach()
    patched = weight + delta.of(weight, multiplier)
    with torch.no_grad():
        if isinstance(base, nn.Conv2d):
            inputs = torch.randn(2, 24, 5, 5)
            got = functional.conv2d(inputs, patched, bias, padding=base.padding)
        else:
            inputs = torch.randn(3, base.in_features)
            got = functional.linear(inputs, patched, bias)
        expected = module(inputs)
    assert relative_error(got, expected) < 1e-5
    assert relative_error(got, base(inputs).detach()) > 1e-4
