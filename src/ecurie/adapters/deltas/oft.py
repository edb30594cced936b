"""Diag-OFT and BOFT: the weight's output axis is turned by orthogonal blocks.

R = (I + Q)(I − Q)⁻¹ with Q = B − Bᵀ (Cayley), Q shrunk to the norm `alpha · out` where alpha, the constraint,
is above 0. Diag-OFT: W' = Rᵀ W in blocks, interpolated as multiplier·(R − I) + I. BOFT: a butterfly's stages,
each interpolated towards I. Then an optional rescale of each output row.
Sources: Qiu et al. 2023 (arXiv:2306.07280), Liu et al. 2023 (arXiv:2311.06243), as trained by LyCORIS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


def _rotations(blocks: Tensor, constraint: float) -> Tensor:
    """Orthogonal blocks …×b×b from the file's unconstrained ones."""
    skew = blocks - blocks.transpose(-1, -2)
    if constraint > 0:
        skew = skew * (constraint / (skew.norm() + 1e-8)).clamp(max=1)
    identity = _identity(blocks)
    inverse: Tensor = torch.linalg.inv(identity - skew)
    return (identity + skew) @ inverse


def _identity(blocks: Tensor) -> Tensor:
    return torch.eye(blocks.shape[-1], device=blocks.device)


@dataclass(frozen=True, slots=True)
class DiagonalOft:
    """`blocks` n×b×b with n·b = out."""

    blocks: Tensor
    rescale: Tensor | None
    alpha: float

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        number, size, _ = self.blocks.shape
        turned = (_rotations(self.blocks, self.alpha * weight.shape[0]) - _identity(self.blocks)) * multiplier
        parts = weight.reshape(number, size, -1)
        delta = torch.einsum("knm,kni->kmi", turned, parts).reshape(weight.shape)
        if self.rescale is None:
            return delta
        rescale = self.rescale.reshape(-1, *(1,) * (weight.dim() - 1))
        return (weight + delta) * rescale - weight


@dataclass(frozen=True, slots=True)
class Butterfly:
    """`blocks` m×n×b×b: m stages with n·b = out; stage i mixes rows that are 2^i·b/2 apart."""

    blocks: Tensor
    rescale: Tensor | None
    alpha: float

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        size = self.blocks.shape[-1]
        identity = _identity(self.blocks)
        rotations = _rotations(self.blocks, self.alpha * weight.shape[0])
        rotations = rotations * multiplier + identity * (1 - multiplier)
        rows = weight.reshape(weight.shape[0], -1)
        for stage, rotation in enumerate(rotations):
            apart = 2**stage * size // 2
            width = rows.shape[1]
            grouped = rows.reshape(-1, 2, apart, width).transpose(1, 2).reshape(-1, size, width)
            turned = torch.einsum("bij,bjn->bin", rotation, grouped)
            rows = turned.reshape(-1, apart, 2, width).transpose(1, 2).reshape(rows.shape)
        if self.rescale is not None:
            rows = rows * self.rescale.reshape(-1, 1)
        return rows.reshape(weight.shape) - weight


def read_diagonal(tensors: Mapping[str, Tensor]) -> DiagonalOft:
    return DiagonalOft(tensors["oft_blocks"], tensors.get("rescale"), float(tensors.get("alpha", 0)))


def read_butterfly(tensors: Mapping[str, Tensor]) -> Butterfly:
    return Butterfly(tensors["oft_blocks"], tensors.get("rescale"), float(tensors.get("alpha", 0)))
