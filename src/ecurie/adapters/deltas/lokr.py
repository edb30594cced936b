"""LoKr: ΔW = (alpha / rank) · w1 ⊗ w2, either whole or a product of factors, w2 also with a Tucker core.

Source: Edalati et al. 2022, KronA (arXiv:2212.10650), as trained by LyCORIS (arXiv:2309.14859). Where both
are whole there is no rank: LyCORIS' scale is then 1 whatever alpha says; PEFT divides by the rank of its
configuration. Rank-stabilised and whole, LyCORIS scales by √dim and writes dim · √dim as alpha.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ecurie.adapters.deltas.scale import alpha_over_rank


@dataclass(frozen=True, slots=True)
class LoKr:
    """`w1` a×c, `w2` b×d or b×d×kernel or b×(d·kernel), for a weight of (a·b)×(c·d)(×kernel)."""

    w1: Tensor
    w2: Tensor
    scale: float

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        w1 = self.w1.reshape(*self.w1.shape, *(1,) * (self.w2.dim() - 2))
        return torch.kron(w1 * (self.scale * multiplier), self.w2.contiguous()).reshape(weight.shape)


def read(tensors: Mapping[str, Tensor]) -> LoKr:
    rank = None
    if "lokr_w1" in tensors:
        w1 = tensors["lokr_w1"]
    else:
        w1, rank = tensors["lokr_w1_a"] @ tensors["lokr_w1_b"], tensors["lokr_w1_b"].shape[0]
    if "lokr_w2" in tensors:
        w2 = tensors["lokr_w2"]
    elif "lokr_t2" in tensors:
        core, a, b = tensors["lokr_t2"], tensors["lokr_w2_a"], tensors["lokr_w2_b"]
        w2, rank = torch.einsum("ij...,ip,jr->pr...", core, a, b), core.shape[0]
    else:
        a, b = tensors["lokr_w2_a"], tensors["lokr_w2_b"]
        w2, rank = (a @ b.reshape(b.shape[0], -1)).reshape(a.shape[0], *b.shape[1:]), b.shape[0]
    if "peft_rank" in tensors:
        rank = int(tensors["peft_rank"])
    if rank is None:
        stabilised = "rank_stabilised" in tensors and "alpha" in tensors
        return LoKr(w1, w2, math.cbrt(float(tensors["alpha"])) if stabilised else 1.0)
    return LoKr(w1, w2, alpha_over_rank(tensors, rank))
