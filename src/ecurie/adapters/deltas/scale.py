"""The scale that trainers store as `alpha`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def alpha_over_rank(tensors: Mapping[str, Tensor], rank: int) -> float:
    """alpha / rank; 1 where a file has no alpha. LyCORIS trainers write an alpha of 0 as the rank."""
    return float(tensors["alpha"]) / rank if "alpha" in tensors else 1.0
