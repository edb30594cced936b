"""Makes a model's weights equal base + stack, and restores them exactly.

The pristine weights are the model's files, mapped: no copy of them is kept, and a delta is never subtracted.
A weight is always written as pristine + the sum of the stack's deltas, in float32 and rounded once, so
neither the order of a stack nor what was applied before changes a bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from ecurie.adapters.parallel import Check, go_on, run_all
from ecurie.adapters.pristine import Pristine
from ecurie.adapters.reader import Adapter, Place
from ecurie.adapters.sums import write_sum
from ecurie.adapters.upload import Copy, upload
from ecurie.errors import AdapterInvalid
from ecurie.formats.blocks import BASE, OUTSIDE
from ecurie.formats.inventory import Inventory, Part
from ecurie.formats.parts import Source

Shares = list[tuple[Adapter, float]]
"""The adapters that change one place, with their weights there."""


Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """An adapter with the weight of each part; a weight of 0 leaves the part alone.

    `blocks` multiplies it by block (others: 1); `block_of` names the block of each UNet module path.
    """

    adapter: Adapter
    weights: Mapping[Part, float]
    blocks: Mapping[str, float] = field(default_factory=dict)
    block_of: Mapping[str, str] = field(default_factory=dict)

    @property
    def signature(self) -> tuple[object, ...]:
        return self.adapter.sha256, tuple(sorted(self.weights.items())), tuple(sorted(self.blocks.items()))

    def signature_in(self, part: Part) -> tuple[object, ...] | None:
        """What it does to the weights of a part depends on this alone; None: nothing."""
        weight = self.weights.get(part, 0.0)
        blocks = {name: factor for name, factor in self.blocks.items() if (name == BASE) != (part == "unet")}
        if part != "unet":
            weight *= blocks.pop(BASE, 1.0)
        if weight == 0 or part not in self.adapter.parts:
            return None
        return self.adapter.sha256, weight, tuple(sorted(blocks.items()))

    def weight_of(self, place: Place) -> float:
        part, path, _ = place
        block = self.block_of.get(path, OUTSIDE) if part == "unet" else BASE
        return self.weights.get(part, 0.0) * self.blocks.get(block, 1.0)


@dataclass(frozen=True, slots=True)
class Change:
    """What `apply` did: weights patched and restored, and the seconds of each."""

    patched: int = 0
    restored: int = 0
    compute: float = 0.0
    restore: float = 0.0


def signature_of(stack: Iterable[Applied], part: Part) -> Signature:
    """Equal for stacks that make the same weights of a part."""
    found = (applied.signature_in(part) for applied in sorted(stack, key=lambda applied: applied.signature))
    return tuple(signature for signature in found if signature is not None)


class Patcher:
    """Owns the weights of a model's parts: after `apply` they are base + that stack, whatever was before."""

    def __init__(self, parts: Mapping[Part, nn.Module], inventory: Inventory, pristine: Pristine):
        self._parts, self._inventory, self._pristine = parts, inventory, pristine
        self._patched: set[Place] = set()
        self._signatures: dict[Part, Signature] = dict.fromkeys(parts, ())
        self._own: dict[Place, int] = {}

    @torch.no_grad()
    def apply(
        self, stack: Sequence[Applied], parts: Iterable[Part] | None = None, check: Check = go_on
    ) -> Change:
        """Nothing is done to a part that has this stack already. Only `parts` are touched (default: all).

        An error in the middle, of `check` too, leaves every weight of them pristine before it leaves.
        """
        asked = list(self._parts if parts is None else parts)
        ordered = sorted(stack, key=lambda applied: applied.signature)
        signatures = {part: signature_of(ordered, part) for part in asked}
        changed = {part for part in asked if signatures[part] != self._signatures[part]}
        if not changed:
            return Change()
        wanted = self._deltas_by_place(ordered, changed)
        stale, spoiled = self._patched_in(changed) - wanted.keys(), self._spoiled(wanted)
        self._patched |= wanted.keys()
        self._signatures |= dict.fromkeys(changed, ("being written",))
        began = time.perf_counter()
        try:
            self._restore(stale | spoiled)
            restored = time.perf_counter()
            self._patch_all(wanted, check)
        except BaseException:
            touched = self._patched_in(asked)
            self._restore(touched)
            self._patched -= touched
            self._signatures |= dict.fromkeys(asked, ())
            raise
        self._patched -= stale
        self._signatures |= {part: signatures[part] for part in changed}
        return Change(len(wanted), len(stale), time.perf_counter() - restored, restored - began)

    def _patched_in(self, parts: Container[str]) -> set[Place]:
        return {place for place in self._patched if place[0] in parts}

    def forget(self, part: str) -> None:
        """The part's weights are gone from memory; when they are read again they are pristine."""
        self._patched -= self._patched_in((part,))
        self._signatures |= {known: () for known in self._parts if known == part}
        self._own = {place: size for place, size in self._own.items() if place[0] != part}

    def signature(self, part: str) -> Signature:
        """Of the stack that the part's weights have now; () for the file's own, and for a VAE's."""
        return next((found for known, found in self._signatures.items() if known == part), ())

    @property
    def own_bytes(self) -> int:
        """Of patched weights whose pristine ones are mapped: memory that the model alone does not take."""
        return sum(self._own.values())

    def drifted(self) -> list[Place]:
        """Every place without a delta whose live weight differs from the file: always none."""
        places: list[Place] = []
        for part in self._parts:
            for path, source in self._inventory[part].items():
                places.append((part, path, "weight"))
                if source.bias:
                    places.append((part, path, "bias"))
        return [place for place in places if place not in self._patched and self._differs(place)]

    def _differs(self, place: Place) -> bool:
        source = self._source(place)
        live = self._parameter(place)
        return not torch.equal(live, self._pristine.tensor(source).to(live.device, live.dtype))

    @staticmethod
    def _deltas_by_place(ordered: Sequence[Applied], parts: Container[Part]) -> dict[Place, Shares]:
        wanted: dict[Place, Shares] = {}
        for applied in ordered:
            for place in applied.adapter.deltas:
                weight = applied.weight_of(place) if place[0] in parts else 0
                if weight != 0:
                    wanted.setdefault(place, []).append((applied.adapter, weight))
        return wanted

    def _largest_first(self, places: Iterable[Place]) -> list[Place]:
        """So that the cores end together."""
        return sorted(places, key=lambda place: (-self._parameter(place).numel(), place))

    def _source(self, place: Place) -> Source:
        part, path, kind = place
        weight = self._inventory[part][path]
        source = weight if kind == "weight" else weight.bias
        assert source is not None, "a bias delta is refused when its file is read, unless the module has one"
        return source

    def _spoiled(self, wanted: Container[Place]) -> set[Place]:
        """Patched weights that get other deltas, where a sum is made from the weight itself."""
        return {place for place in self._patched if place in wanted and self._sums_in_place(place)}

    def _sums_in_place(self, place: Place) -> bool:
        """Whether the weight is on an accelerator and, when it is not patched, bit for bit the file's: then
        its sum needs nothing from the host."""
        pristine, parameter = self._pristine.tensor(self._source(place)), self._parameter(place)
        return parameter.device != pristine.device and parameter.dtype == pristine.dtype

    @torch.no_grad()
    def _restore(self, places: Iterable[Place]) -> None:
        """Point back to the file's memory, or copy from it."""
        far: list[Copy] = []
        near: list[Callable[[], None]] = []
        for place in self._largest_first(places):
            pristine, parameter = self._pristine.tensor(self._source(place)), self._parameter(place)
            if self._sums_in_place(place):
                far.append((parameter.data, pristine))
            elif parameter.dtype == pristine.dtype:
                parameter.data = pristine
                self._own.pop(place, None)
            else:
                near.append(partial(_copy, parameter.data, pristine))
        if far:
            upload(far, far[0][0].device)
        run_all(near)

    def _patch_all(self, wanted: Mapping[Place, Shares], check: Check) -> None:
        tasks: dict[bool, list[Callable[[], None]]] = {True: [], False: []}
        for place in self._largest_first(wanted):
            at_host = self._parameter(place).device.type == "cpu"
            tasks[at_host].append(partial(self._patch, place, wanted[place]))
        run_all(tasks[True], check=check)
        # An accelerator is kept busy by one thread; more would wait for each other.
        run_all(tasks[False], at_most=1, check=check)

    @torch.no_grad()
    def _patch(self, place: Place, shares: Shares) -> None:
        parameter = self._parameter(place)
        in_place = self._sums_in_place(place)
        pristine = parameter.data if in_place else self._pristine.tensor(self._source(place))
        mapped = not in_place and parameter.data_ptr() == pristine.data_ptr()
        target = torch.empty_like(parameter.data) if mapped else parameter.data
        found = [(adapter.deltas[place], weight) for adapter, weight in shares]
        if not write_sum(target, pristine, found):
            raise AdapterInvalid(
                f"the stack makes the weights of {place[0]}.{place[1]} infinite or NaN in {target.dtype}",
                remedy="lower the adapters' weights, or leave out the one with the huge alpha",
            )
        parameter.data = target
        if mapped:
            self._own[place] = target.nbytes

    def _parameter(self, place: Place) -> Tensor:
        """The tensor of a place, with or without the `text_model.` that some transformers versions put."""
        part, path, kind = place
        for name in (path, f"text_model.{path}"):
            try:
                tensor: Tensor = getattr(self._parts[part].get_submodule(name), kind)
            except AttributeError:
                continue
            return tensor
        raise AttributeError(f"the model has no module {path}")


def _copy(target: Tensor, source: Tensor) -> None:
    target.copy_(source)
