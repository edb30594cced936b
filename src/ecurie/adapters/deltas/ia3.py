"""(IA)^3: ΔW = W · w along the output axis, or the input axis where the file says `on_input`.

Source: Liu et al. 2022 (arXiv:2205.05638), as trained by LyCORIS, which stores the vector less one, and
by PEFT, which stores it whole (`ia3_l`) and scales the bias with the outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ecurie.errors import AdapterInvalid


@dataclass(frozen=True, slots=True)
class Ia3:
    """`vector` is the one that the file's trainer multiplies by, less one."""

    vector: Tensor
    on_input: bool

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        axis = 1 if self.on_input else 0
        if self.vector.numel() != weight.shape[axis]:
            raise AdapterInvalid(
                f"an (IA)^3 vector of {self.vector.numel()} values is not for "
                f"{'inputs' if self.on_input else 'outputs'} of {weight.shape[axis]}"
            )
        shape = [1] * weight.dim()
        shape[axis] = -1
        return weight * (self.vector.reshape(shape) * multiplier)


def read(tensors: Mapping[str, Tensor]) -> Ia3:
    vector = tensors["ia3_l"] - 1 if "ia3_l" in tensors else tensors["weight"]
    return Ia3(vector, bool(tensors["on_input"]))
