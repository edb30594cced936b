"""One file for each algorithm, and the list of them all.

Every algorithm is a frozen type made by `read` from a file's tensors in float32; its `of(weight, multiplier)`
gives ΔW in the weight's own shape from the pristine weight in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

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
