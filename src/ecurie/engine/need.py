"""What a model needs of memory, predicted from the headers of its files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ecurie.formats.parts import Source
from ecurie.formats.safetensors_file import read_header

STORED = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


@dataclass(frozen=True, slots=True)
class PartNeed:
    """`total` bytes of weights in the compute dtype. `copied` of them are stored in another dtype: on the
    CPU they take memory of their own, while the rest is mapped from the file."""

    total: int
    copied: int


@dataclass(frozen=True, slots=True)
class ModelNeed:
    """By component. `largest` is the largest tensor, `value_bytes` the size of a number while computing."""

    parts: Mapping[str, PartNeed]
    largest: int
    value_bytes: int

    def total(self, *names: str) -> int:
        """Bytes of these components' weights; of all when none is named."""
        return sum(part.total for name, part in self.parts.items() if not names or name in names)

    def with_more(self, name: str, size: int) -> ModelNeed:
        """The same with `size` bytes more in a component, as an IP-Adapter brings to the UNet."""
        part = self.parts[name]
        grown = PartNeed(part.total + size, part.copied + size)
        return replace(self, parts={**self.parts, name: grown})

    @property
    def copied(self) -> int:
        return sum(part.copied for part in self.parts.values())


def need_of(sources: Mapping[str, Mapping[str, Source]], dtype: torch.dtype) -> ModelNeed:
    """Of a model with these tensors by component. Raises WeightsMissing or WeightsInvalid."""
    stored = {
        (file, key): info.dtype for file in _files(sources) for key, info in read_header(file).tensors.items()
    }
    sizes = {
        name: [
            (math.prod(source.shape) * dtype.itemsize, stored.get((source.file, source.key)))
            for source in tensors.values()
        ]
        for name, tensors in sources.items()
    }
    parts = {
        name: PartNeed(
            sum(size for size, _ in found), sum(size for size, kept in found if kept != STORED[dtype])
        )
        for name, found in sizes.items()
    }
    largest = max((size for found in sizes.values() for size, _ in found), default=0)
    return ModelNeed(parts, largest, dtype.itemsize)


def _files(sources: Mapping[str, Mapping[str, Source]]) -> set[Path]:
    return {source.file for tensors in sources.values() for source in tensors.values()}
