"""Makes a model's weights equal base + stack, and restores them exactly.

The pristine weights are the model's files: no copy of them is kept, and a delta is never subtracted. A
weight is always written as pristine + the sum of the stack's deltas, added in float32 and rounded once, so
neither the order of a stack nor what was applied before changes a bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from ecurie.adapters.deltas import Delta
from ecurie.adapters.deltas.lora import Lora, sum_of
from ecurie.adapters.reader import Adapter, Place
from ecurie.formats.inventory import Inventory, Part, Source

Deltas = list[tuple[Delta, float]]


@dataclass(frozen=True, slots=True)
class Applied:
    """An adapter with the weight of each part; a weight of 0 leaves the part alone."""

    adapter: Adapter
    weights: Mapping[Part, float]

    @property
    def signature(self) -> tuple[object, ...]:
        return self.adapter.sha256, tuple(sorted(self.weights.items()))


class Patcher:
    """Owns the weights of a model's parts: after `apply` they are base + that stack, whatever was before."""

    def __init__(self, parts: Mapping[Part, nn.Module], inventory: Inventory):
        self._inventory = inventory
        self._parts = parts
        self._patched: set[Place] = set()
        self._signature: tuple[object, ...] = ()

    @torch.no_grad()
    def apply(self, stack: Sequence[Applied]) -> int:
        """Returns the number of weights written: 0 when this stack is applied already.

        An error in the middle leaves every weight pristine before it leaves.
        """
        ordered = sorted(stack, key=lambda applied: applied.signature)
        signature = tuple(applied.signature for applied in ordered)
        if signature == self._signature:
            return 0
        wanted = self._deltas_by_place(ordered)
        places = self._patched | wanted.keys()
        self._patched, self._signature = places, ("being written",)
        try:
            self._write(places, wanted)
        except BaseException:
            self._write(places, {})
            self._patched, self._signature = set(), ()
            raise
        self._patched, self._signature = set(wanted), signature
        return len(places)

    @staticmethod
    def _deltas_by_place(ordered: Sequence[Applied]) -> dict[Place, Deltas]:
        wanted: dict[Place, Deltas] = {}
        for applied in ordered:
            for place, delta in applied.adapter.deltas.items():
                weight = applied.weights.get(place[0], 0.0)
                if weight != 0:
                    wanted.setdefault(place, []).append((delta, weight))
        return wanted

    def _write(self, places: set[Place], wanted: Mapping[Place, Deltas]) -> None:
        sources = {place: self._source(place) for place in places}
        for file in sorted({source.file for source in sources.values()}):
            with safe_open(file, framework="pt") as content:
                for place, source in sources.items():
                    if source.file == file:
                        self._write_one(place, source, content, wanted.get(place))

    def _source(self, place: Place) -> Source:
        part, path, kind = place
        weight = self._inventory[part][path]
        source = weight if kind == "weight" else weight.bias
        assert source is not None, "a bias delta is refused when its file is read, unless the module has one"
        return source

    def _write_one(self, place: Place, source: Source, content: Any, deltas: Deltas | None) -> None:
        pristine: Tensor = content.get_tensor(source.key)
        parameter = _parameter(self._parts[place[0]], place)
        if deltas is None:
            parameter.copy_(pristine)
        else:
            weight = pristine.float()
            parameter.copy_(weight + summed(deltas, weight))


def summed(deltas: Deltas, weight: Tensor) -> Tensor:
    """The sum of a stack's ΔW for one pristine weight; plain LoRAs are one product of their factors."""
    loras = [(delta, multiplier) for delta, multiplier in deltas if isinstance(delta, Lora)]
    others = [(delta, multiplier) for delta, multiplier in deltas if not isinstance(delta, Lora)]
    total = sum_of(loras, weight) if loras else torch.zeros_like(weight)
    for delta, multiplier in others:
        total += delta.of(weight, multiplier)
    return total


def _parameter(module: nn.Module, place: Place) -> Tensor:
    """The tensor of a place, with or without the `text_model.` that some transformers versions put."""
    _, path, kind = place
    for name in (path, f"text_model.{path}"):
        try:
            tensor: Tensor = getattr(module.get_submodule(name), kind).data
        except AttributeError:
            continue
        return tensor
    raise AttributeError(f"the model has no module {path}")
