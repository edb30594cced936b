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

from ecurie.adapters.lora import delta_of
from ecurie.adapters.reader import Adapter
from ecurie.formats.inventory import Inventory, Part, Source

Place = tuple[Part, str]


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
        self._parameters = {
            (part, path): _weight(parts[part], path) for part in parts for path in inventory[part]
        }
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
    def _deltas_by_place(ordered: Sequence[Applied]) -> dict[Place, list[tuple[Any, float]]]:
        wanted: dict[Place, list[tuple[Any, float]]] = {}
        for applied in ordered:
            for place, factors in applied.adapter.factors.items():
                weight = applied.weights.get(place[0], 0.0)
                if weight != 0:
                    wanted.setdefault(place, []).append((factors, weight))
        return wanted

    def _write(self, places: set[Place], wanted: Mapping[Place, list[tuple[Any, float]]]) -> None:
        sources = {place: self._inventory[place[0]][place[1]] for place in places}
        for file in sorted({source.file for source in sources.values()}):
            with safe_open(file, framework="pt") as content:
                for place, source in sources.items():
                    if source.file == file:
                        self._write_one(place, source, content, wanted.get(place))

    def _write_one(
        self, place: Place, source: Source, content: Any, pairs: list[tuple[Any, float]] | None
    ) -> None:
        pristine: Tensor = content.get_tensor(source.key)
        parameter = self._parameters[place]
        if pairs is None:
            parameter.copy_(pristine)
            return
        patched = pristine.float()
        if patched is pristine:
            patched = pristine.clone()
        patched += delta_of(pairs).reshape(patched.shape)
        parameter.copy_(patched)


def _weight(module: nn.Module, path: str) -> Tensor:
    """The weight of a submodule, with or without the `text_model.` that some transformers versions put."""
    for name in (path, f"text_model.{path}"):
        try:
            weight: Tensor = module.get_submodule(name).weight.data  # type: ignore[assignment]
        except AttributeError:
            continue
        return weight
    raise AttributeError(f"the model has no module {path}")
