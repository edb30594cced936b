"""LoRA and LoCon: ΔW = (alpha / rank) · up @ down, with a Tucker core `mid` for some convolutions.

Sources: Hu et al. 2021 (arXiv:2106.09685); for convolutions Yeh et al. 2023 (arXiv:2309.14859), section 3;
rank-stabilised scaling, alpha / √rank, Kalajdzievski 2023 (arXiv:2312.03732). DyLoRA files hold the same
tensors at their full rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ecurie.adapters.deltas.scale import alpha_over_rank


@dataclass(frozen=True, slots=True)
class Lora:
    """`up` out×rank, `down` rank×(in·kernel), both float32."""

    up: Tensor
    down: Tensor
    scale: float

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        return ((self.up * (self.scale * multiplier)) @ self.down).reshape(weight.shape)


def read(tensors: Mapping[str, Tensor]) -> Lora:
    down = tensors["down"]
    rank = down.shape[0]
    down = down.reshape(rank, -1)
    if "mid" in tensors:
        # The core's first axis meets up, its second down: rank×rank×kernel, rank×in -> rank×(in·kernel).
        down = torch.einsum("ij...,jn->in...", tensors["mid"], down).reshape(rank, -1)
    scale = alpha_over_rank(tensors, rank)
    if "rank_stabilised" in tensors:
        scale *= math.sqrt(rank)
    return Lora(tensors["up"].reshape(-1, rank), down, scale)


def factors_of(pairs: Sequence[tuple[Lora, float]]) -> tuple[Tensor, Tensor]:
    """Several LoRAs as one: `up` out×Σrank with their scales in it, `down` Σrank×(in·kernel)."""
    up = torch.cat([lora.up * (lora.scale * multiplier) for lora, multiplier in pairs], dim=1)
    return up, torch.cat([lora.down for lora, _ in pairs], dim=0)
