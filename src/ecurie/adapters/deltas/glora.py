"""GLoRA: ΔW = (alpha / rank) · (W a1 a2 + b1 b2), the part of a on the weight's input axis.

Source: Chavan et al. 2023 (arXiv:2306.07967), with the factors that LyCORIS trains. Rank-stabilised:
alpha / √rank.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ecurie.adapters.deltas.scale import alpha_over_rank


@dataclass(frozen=True, slots=True)
class GLora:
    """`a` in×in, `b` out×(in·kernel): products of the file's factors."""

    a: Tensor
    b: Tensor
    scale: float

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        turned = torch.einsum("oi...,ij->oj...", weight, self.a)
        return turned.add_(self.b.reshape(weight.shape)).mul_(self.scale * multiplier)


def read(tensors: Mapping[str, Tensor]) -> GLora:
    a1, a2, b1, b2 = (tensors[name].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    if "bm" in tensors:
        b2 = torch.einsum("ij...,jn->in...", tensors["bm"], b2).flatten(1)
    rank = tensors["a2"].shape[0]
    scale = alpha_over_rank(tensors, rank)
    if "rank_stabilised" in tensors:
        scale *= math.sqrt(rank)
    return GLora(a1 @ a2, b1 @ b2, scale)
