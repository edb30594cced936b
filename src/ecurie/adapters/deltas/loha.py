"""LoHa: ΔW = (alpha / rank) · (w1_a @ w1_b) ⊙ (w2_a @ w2_b), each half with a Tucker core where it has one.

Source: Hyeon-Woo et al. 2021, FedPara (arXiv:2108.06098), as trained by LyCORIS (arXiv:2309.14859). What its
modules compute when they train is the definition: `get_diff_weight` of lycoris-lora 4.1.3 applies the scale
twice, its forward pass once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ecurie.adapters.deltas.scale import alpha_over_rank


@dataclass(frozen=True, slots=True)
class LoHa:
    """Both halves' factors: `a` out×rank, `b` rank×(in·kernel); with a core, `a` rank×out and `b` rank×in."""

    halves: tuple[tuple[Tensor, Tensor, Tensor | None], ...]
    scale: float

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        first, second = (_half(*half) for half in self.halves)
        return (first * second).mul_(self.scale * multiplier).reshape(weight.shape)


def _half(a: Tensor, b: Tensor, core: Tensor | None) -> Tensor:
    if core is None:
        return a @ b
    return torch.einsum("ij...,ip,jr->pr...", core, a, b).reshape(a.shape[1], -1)


def read(tensors: Mapping[str, Tensor]) -> LoHa:
    halves = tuple(
        (tensors[f"hada_w{n}_a"], tensors[f"hada_w{n}_b"], tensors.get(f"hada_t{n}")) for n in (1, 2)
    )
    return LoHa(halves, alpha_over_rank(tensors, tensors["hada_w1_b"].shape[0]))
