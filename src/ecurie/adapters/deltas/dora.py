"""DoRA: the norm of each row (or column) of W + ΔW is replaced by a trained magnitude.

Source: Liu et al. 2024 (arXiv:2402.09353). Two families of files exist, and the key tells them apart:

- LyCORIS and kohya write `dora_scale`. At multiplier m:
  W' = (W + ΔW) · (m · (magnitude / ‖W + ΔW‖ − 1) + 1).
  Its shape tells the axis: out×1 is a norm of each output row (LyCORIS' `wd_on_out`), 1×in of each column.
- PEFT writes `lora_magnitude_vector`, one number for each output row, and scales ΔW itself by m:
  W' = (W + m·ΔW) · magnitude / ‖W + m·ΔW‖.

At m = 1 both are the paper's. At other values each is what the file's own trainer shows its users.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from ecurie.adapters.deltas import Delta

EPSILON = torch.finfo(torch.float32).eps


@dataclass(frozen=True, slots=True)
class Dora:
    """Wraps a low-rank delta. `magnitude` has the weight's number of axes, one of them longer than 1."""

    inner: Delta
    magnitude: Tensor
    scales_delta: bool

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        changed = weight + self.inner.of(weight, multiplier if self.scales_delta else 1.0)
        magnitude = self.magnitude.reshape(_magnitude_shape(self.magnitude, weight))
        axes = [axis for axis in range(weight.dim()) if magnitude.shape[axis] == 1]
        norm = torch.linalg.vector_norm(changed, dim=axes, keepdim=True)
        factor = magnitude / (norm + EPSILON)
        if not self.scales_delta:
            factor = (factor - 1) * multiplier + 1
        return changed.mul_(factor).sub_(weight)


def _magnitude_shape(magnitude: Tensor, weight: Tensor) -> tuple[int, ...]:
    """out×1×… or 1×in×…: told by the stored shape, a bare vector being PEFT's output rows."""
    rest = (1,) * (weight.dim() - 2)
    if magnitude.dim() >= 2 and magnitude.shape[0] == 1 and magnitude.shape[1] == weight.shape[1]:
        return (1, weight.shape[1], *rest)
    return (weight.shape[0], 1, *rest)
