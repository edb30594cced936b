"""From an adapter file to its deltas in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ecurie.adapters.deltas import ALGORITHMS, Delta
from ecurie.adapters.deltas.dora import Dora
from ecurie.adapters.deltas.full import Full
from ecurie.errors import AdapterInvalid
from ecurie.formats.adapter_file import AdapterFile, AdapterModule
from ecurie.formats.inventory import Part

Place = tuple[Part, str, Literal["weight", "bias"]]
"""A tensor of the model: part, module path, which of the module's two."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """The deltas of one file by the place that they change."""

    sha256: str
    deltas: dict[Place, Delta]


def load_adapter(described: AdapterFile, sha256: str) -> Adapter:
    """Read every tensor of a file that `read_adapter` has described.

    Raises AdapterInvalid for NaN, infinite values, or a file that changed since.
    """
    deltas: dict[Place, Delta] = {}
    try:
        with safe_open(described.file, framework="pt") as content:
            for module in described.modules:
                tensors = _tensors(described, module, content)
                deltas[module.part, module.path, "weight"] = _delta(module, tensors)
                bias = tensors.get("diff_b", tensors.get("b_norm"))
                if bias is not None:
                    deltas[module.part, module.path, "bias"] = Full(bias)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise AdapterInvalid(f"{described.file} cannot be read: {error}") from error
    return Adapter(sha256, deltas)


def _tensors(described: AdapterFile, module: AdapterModule, content: Any) -> dict[str, Tensor]:
    tensors = {role: content.get_tensor(key).float() for role, key in module.keys.items()}
    for role, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise AdapterInvalid(f"{described.file}: {module.keys[role]} holds NaN or infinite values")
    if module.fixed_alpha is not None and "alpha" not in tensors:
        tensors["alpha"] = torch.tensor(module.fixed_alpha)
    if module.rank_stabilised:
        tensors["rank_stabilised"] = torch.tensor(1.0)
    return tensors


def _delta(module: AdapterModule, tensors: dict[str, Tensor]) -> Delta:
    delta = ALGORITHMS[module.algorithm](tensors)
    if "dora_scale" in tensors:
        return Dora(delta, tensors["dora_scale"], scales_delta=False)
    if "magnitude" in tensors:
        return Dora(delta, tensors["magnitude"].flatten(), scales_delta=True)
    return delta
