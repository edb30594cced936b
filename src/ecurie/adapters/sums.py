"""One weight's sum: pristine + the deltas of a stack, written straight into its destination."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ecurie.adapters.deltas import Delta, at
from ecurie.adapters.deltas.lora import Lora, factors_of

Pair = tuple[Delta, float]
# Half of a core's usual second-level cache: a block is converted, added to and left while it is there.
BLOCK_BYTES = 1 << 20


def write_sum(target: Tensor, pristine: Tensor, deltas: Sequence[Pair]) -> bool:
    """Write pristine + Σ ΔW into `target`, computed in float32 on the target's device and rounded once.

    Both have the weight's shape, in any floating dtype. False if the sum is not finite; what is in `target`
    must not be used then.
    """
    if target.device.type != "cpu":
        deltas = [(at(delta, target.device), multiplier) for delta, multiplier in deltas]
    loras = [(delta, multiplier) for delta, multiplier in deltas if isinstance(delta, Lora)]
    if len(loras) < len(deltas):
        return _write_any(target, pristine, deltas)
    up, down = factors_of(loras)
    rows, weights = target.flatten(1), pristine.flatten(1)
    height = max(1, BLOCK_BYTES // (4 * rows.shape[1])) if target.device.type == "cpu" else len(rows)
    for start in range(0, len(rows), height):
        block = slice(start, start + height)
        _write_product(rows[block], weights[block], up[block], down)
    return _surely_finite(up, down, target.dtype) or bool(torch.isfinite(target).all())


def _write_product(target: Tensor, pristine: Tensor, up: Tensor, down: Tensor) -> None:
    if target.dtype == torch.float32:
        target.copy_(pristine).addmm_(up, down)
    else:
        target.copy_(pristine.to(target.device, torch.float32).addmm_(up, down))


def _surely_finite(up: Tensor, down: Tensor, dtype: torch.dtype) -> bool:
    """Whether a bound of the product is far from the dtype's limit, as it is unless an alpha is absurd."""
    bound = up.abs().amax() * down.abs().amax() * up.shape[1]
    return bool(bound < torch.finfo(dtype).max / 4)


def _write_any(target: Tensor, pristine: Tensor, deltas: Sequence[Pair]) -> bool:
    target.copy_(summed(deltas, pristine.to(target.device, torch.float32, copy=True)))
    return bool(torch.isfinite(target).all())


def summed(deltas: Sequence[Pair], weight: Tensor) -> Tensor:
    """weight + Σ ΔW for a pristine float32 weight, which is not changed; all on one device."""
    loras = [(delta, multiplier) for delta, multiplier in deltas if isinstance(delta, Lora)]
    total = torch.zeros_like(weight)
    if loras:
        up, down = factors_of(loras)
        total.flatten(1).addmm_(up, down)
    for delta, multiplier in deltas:
        if not isinstance(delta, Lora):
            total += delta.of(weight, multiplier)
    return total.add_(weight)
