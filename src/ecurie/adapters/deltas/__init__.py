"""One file for each algorithm, and the list of them all.

Every algorithm is a frozen type made by `read` from a file's tensors in float32; its `of(weight, multiplier)`
gives ΔW in the weight's own shape from the pristine weight in float32.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from ecurie.adapters.deltas import full, glora, ia3, loha, lokr, lora, oft, peft_oft


class Delta(Protocol):
    def of(self, weight: Tensor, multiplier: float) -> Tensor: ...


ALGORITHMS: dict[str, Callable[[Mapping[str, Tensor]], Delta]] = {
    "LoRA": lora.read,
    "LoHa": loha.read,
    "LoKr": lokr.read,
    "GLoRA": glora.read,
    "(IA)^3": ia3.read,
    "OFT": peft_oft.read,
    "Diag-OFT": oft.read_diagonal,
    "BOFT": oft.read_butterfly,
    "full": full.read,
    "norm": full.read_norm,
}
"""By the names that `formats.adapter_file` tells."""


def at(delta: Delta, device: torch.device) -> Delta:
    """The same with its tensors on the device; files are read into the host's memory."""
    moved: Delta = _moved(delta, device)
    return moved


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, tuple):
        return tuple(_moved(one, device) for one in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return dataclasses.replace(value, **{name: _moved(one, device) for name, one in fields.items()})
    return value
