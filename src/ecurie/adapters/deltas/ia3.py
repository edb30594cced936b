"""(IA)^3: ΔW = W · w along the output axis, or the input axis where the file says `on_input`.

Source: Liu et al. 2022 (arXiv:2205.05638), as trained by LyCORIS, which stores the vector less one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Ia3:
    vector: Tensor
    on_input: bool

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        axis = 1 if self.on_input else 0
        shape = [1] * weight.dim()
        shape[axis] = -1
        return weight * (self.vector.reshape(shape) * multiplier)


def read(tensors: Mapping[str, Tensor]) -> Ia3:
    return Ia3(tensors["weight"], bool(tensors["on_input"]))
