"""From an adapter file to its factors in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from ecurie.adapters.lora import Factors, make_factors
from ecurie.errors import AdapterInvalid
from ecurie.formats.adapter_file import AdapterFile
from ecurie.formats.inventory import Part


@dataclass(frozen=True, slots=True)
class Adapter:
    """The factors of one file by (part, module path)."""

    sha256: str
    factors: dict[tuple[Part, str], Factors]


def load_adapter(described: AdapterFile, sha256: str) -> Adapter:
    """Read every tensor of a file that `read_adapter` has described.

    Raises AdapterInvalid for NaN, infinite values, or a file that changed since.
    """
    factors = {}
    try:
        with safe_open(described.file, framework="pt") as content:
            for module in described.modules:
                alpha = module.fixed_alpha
                if module.alpha is not None:
                    alpha = float(content.get_tensor(module.alpha).float())
                mid = content.get_tensor(module.mid) if module.mid is not None else None
                made = make_factors(
                    content.get_tensor(module.up),
                    content.get_tensor(module.down),
                    mid,
                    alpha,
                    rank_stabilised=module.rank_stabilised,
                )
                _check_finite(described.file, f"{module.part}.{module.path}", made)
                factors[module.part, module.path] = made
    except (SafetensorError, OSError, RuntimeError) as error:
        raise AdapterInvalid(f"{described.file} cannot be read: {error}") from error
    return Adapter(sha256, factors)


def _check_finite(file: Path, name: str, factors: Factors) -> None:
    finite = torch.isfinite(factors.up).all() and torch.isfinite(factors.down).all()
    if not finite or factors.scale != factors.scale or abs(factors.scale) == float("inf"):
        raise AdapterInvalid(f"{file}: the factors of {name} hold NaN or infinite values")
