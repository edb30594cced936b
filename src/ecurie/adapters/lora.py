"""LoRA and LoCon: a weight's delta as a product of two low-rank factors.

ΔW = (alpha / rank) · up @ down, with alpha = rank where a file has none, and alpha / √rank when
rank-stabilised. Sources: Hu et al. 2021 (arXiv:2106.09685), Kalajdzievski 2023 (arXiv:2312.03732), and for
convolutions and the Tucker factor `mid` the LyCORIS paper, Yeh et al. 2023 (arXiv:2309.14859), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Factors:
    """One module's factors in float32: `up` out×rank, `down` rank×(in·kernel), and alpha's scale."""

    up: Tensor
    down: Tensor
    scale: float


def make_factors(
    up: Tensor, down: Tensor, mid: Tensor | None, alpha: float | None, *, rank_stabilised: bool = False
) -> Factors:
    """From a file's tensors of any float dtype, linear or convolution.

    `down` is rank×in or rank×in×kernel, `up` out×rank(×1×1), `mid` rank×rank×kernel.
    """
    rank = down.shape[0]
    up = up.float().reshape(-1, rank)
    down = down.float().reshape(rank, -1)
    if mid is not None:
        # mid's first axis meets up, its second down: rank×rank×kernel, rank×in -> rank×(in·kernel).
        down = torch.einsum("ij...,jn->in...", mid.float(), down).reshape(rank, -1)
    divisor = math.sqrt(rank) if rank_stabilised else rank
    return Factors(up, down, 1.0 if alpha is None else alpha / divisor)


def delta_of(stack: Iterable[tuple[Factors, float]]) -> Tensor:
    """The sum of weight·scale·up@down of a stack, out×(in·kernel) in float32: one product of the concatenated
    factors."""
    pairs = list(stack)
    up = torch.cat([factors.up * (factors.scale * weight) for factors, weight in pairs], dim=1)
    down = torch.cat([factors.down for factors, _ in pairs], dim=0)
    return up @ down
