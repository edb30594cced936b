"""PEFT's OFT: the weight's inputs (with the kernel) are turned by orthogonal blocks, W' = W Rᵀ.

A file holds the upper triangle of a skew matrix Q for each block. Exact: R = (I − Q)(I + Q)⁻¹. By its Neumann
series, which PEFT takes by default: R = I + 2Q + 2Q² + … + Qⁿ⁻¹, the last term doubled too before PEFT 0.18.
With COFT, Q is first shrunk to the norm eps/√(number of blocks). At multiplier m: W + m · (W Rᵀ − W), as
LyCORIS' Diag-OFT; PEFT itself refuses to scale.
Source: Qiu et al. 2023 (arXiv:2306.07280), Qiu et al. 2025 (arXiv:2506.19847), as PEFT 0.21 merges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt, sqrt

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PeftOft:
    """`turns` n×b×b is R − I by blocks; a single block serves all of the inputs."""

    turns: Tensor

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        rows = weight.reshape(weight.shape[0], -1, self.turns.shape[-1]).transpose(0, 1)
        delta = rows @ (self.turns.transpose(-1, -2) * multiplier)
        return delta.transpose(0, 1).reshape(weight.shape)


def read(tensors: Mapping[str, Tensor]) -> PeftOft:
    skew = _skew(tensors["oft_R"])
    if "coft_eps" in tensors:
        limit = float(tensors["coft_eps"]) / sqrt(skew.shape[0])
        norm = torch.linalg.matrix_norm(skew, keepdim=True)
        skew = torch.where(norm <= limit, skew, skew * (limit / norm))
    terms = int(tensors["cayley_terms"])
    identity = torch.eye(skew.shape[-1])
    if terms == 0:
        rotation: Tensor = torch.linalg.solve(identity + skew, identity - skew, left=False)
        return PeftOft(rotation - identity)
    return PeftOft(_neumann(skew, terms, doubled="last_term_doubled" in tensors))


def _skew(triangles: Tensor) -> Tensor:
    """n×(b·(b−1)/2) -> n×b×b."""
    size = (1 + isqrt(1 + 8 * triangles.shape[1])) // 2
    rows, columns = torch.triu_indices(size, size, 1)
    upper = triangles.new_zeros(triangles.shape[0], size, size)
    upper[:, rows, columns] = triangles
    return upper - upper.transpose(-1, -2)


def _neumann(skew: Tensor, terms: int, *, doubled: bool) -> Tensor:
    """R − I. Of 3 terms PEFT 0.18 and later takes four."""
    total, power = torch.zeros_like(skew), skew
    last = terms - 1 if doubled or terms < 3 else max(terms - 1, 3)
    for exponent in range(1, last + 1):
        power = power if exponent == 1 else power @ skew
        total += power if exponent == last and exponent > 2 and not doubled else 2 * power
    return total
