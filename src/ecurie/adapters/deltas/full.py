"""Full and norm weights: the file holds ΔW itself (`diff`, `w_norm`), and that of the bias.

Source: LyCORIS' `full` and `norm` modules (arXiv:2309.14859, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Full:
    delta: Tensor

    def of(self, weight: Tensor, multiplier: float) -> Tensor:
        return (self.delta * multiplier).reshape(weight.shape)


def read(tensors: Mapping[str, Tensor]) -> Full:
    return Full(tensors["diff"])


def read_norm(tensors: Mapping[str, Tensor]) -> Full:
    return Full(tensors["w_norm"])
