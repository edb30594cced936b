"""Which models are in memory: as many as the budgets hold, so that switching back costs nothing."""

from __future__ import annotations

import gc
import logging
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torch import nn

from ecurie.adapters.parallel import Check, go_on
from ecurie.engine.devices import Compute, give_back_memory
from ecurie.engine.loader import Model, load_model
from ecurie.engine.memory import Step
from ecurie.engine.need import ModelNeed, need_of
from ecurie.engine.placement import META, parts_of, place_of
from ecurie.formats.checkpoint import Checkpoint, ModelFiles
from ecurie.formats.model_files import files_by_part

log = logging.getLogger(__name__)
Key = tuple[ModelFiles, object]


@dataclass(frozen=True, slots=True)
class Budgets:
    """Bytes that models may take of the host's memory and of the accelerator's, and how many may be kept."""

    ram: int
    vram: int
    models: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of memory of its own: mapped files count nothing."""

    ram: int = 0
    vram: int = 0


@dataclass(slots=True, eq=False)
class Resident:
    """`stack` is what is patched in, for people; `users` are the jobs that run with it now."""

    id: str
    model: Model
    need: ModelNeed
    last_used: float
    users: int = 0
    stack: tuple[str, ...] = ()


class Residency:
    """The least recently used models leave when another needs the room; one in use never does."""

    def __init__(self, compute: Compute, budgets: Budgets):
        self._compute, self._budgets = compute, budgets
        self._models: OrderedDict[Key, Resident] = OrderedDict()
        self.beside = 0
        """Bytes of the host's memory that others than models hold."""

    def need(self, checkpoint: Checkpoint) -> ModelNeed:
        """Raises WeightsMissing or WeightsInvalid."""
        resident = self._models.get((checkpoint.files, checkpoint.stamp))
        if resident is not None:
            return resident.need
        return need_of(checkpoint.parts.tensors, self._compute.dtype)

    def holds(self, checkpoint: Checkpoint) -> bool:
        return (checkpoint.files, checkpoint.stamp) in self._models

    def files(self) -> set[Path]:
        """Of the models in memory: mapped, or needed to patch them and to restore their weights."""
        resident = [one.model.checkpoint for one in list(self._models.values())]
        return {file for checkpoint in resident for _, file in files_by_part(checkpoint)}

    @contextmanager
    def use(
        self, model_id: str, checkpoint: Checkpoint, step: Step, peak: int = 0, check: Check = go_on
    ) -> Iterator[Resident]:
        """The model of these files, loaded if it must be: also when one was replaced since.

        `peak` bytes of the accelerator are made free for it, weights included. Raises what `load_model`
        raises, and what the device raises when it is full.
        """
        key = (checkpoint.files, checkpoint.stamp)
        resident = self._models.get(key) or self._load(key, model_id, checkpoint, step, peak, check)
        self._models.move_to_end(key)
        resident.id, resident.last_used = model_id, time.time()
        resident.users += 1
        try:
            self._make_room(resident, Held(self._held(resident).ram, peak))
            yield resident
        finally:
            resident.users -= 1
            resident.last_used = time.time()

    def _load(
        self, key: Key, model_id: str, checkpoint: Checkpoint, step: Step, peak: int, check: Check
    ) -> Resident:
        need = self.need(checkpoint)
        at_host = self._compute.on_cpu or step >= Step.MODEL_OFFLOAD
        if self._compute.on_cpu:
            target = Held(ram=need.copied)
        else:
            target = Held(need.total(), peak) if at_host else Held(0, max(peak, need.total()))
        self._warn_if_larger(model_id, target)
        where = self._compute.at_host if at_host else self._compute
        left = self._leave_until_fits(None, target, coming=1)
        spare = self._spare_parts(left, checkpoint, where)
        if len(spare) < len(left) * len(need.parts):
            left.clear()
            self._give_back()
        resident = Resident(model_id, load_model(checkpoint, where, spare, check), need, time.time())
        self._models[key] = resident
        return resident

    def _spare_parts(
        self, left: list[Resident], checkpoint: Checkpoint, where: Compute
    ) -> dict[str, nn.Module]:
        """Modules of models that have left whose memory `where` the coming model can take over."""
        spare: dict[str, nn.Module] = {}
        for resident in left:
            configs, need = resident.model.checkpoint.parts.configs, resident.need.parts
            for name, module in parts_of(resident.model).items():
                own = not where.on_cpu or need[name].copied == need[name].total
                there = place_of(module).type == where.device.type
                if own and there and configs[name] == checkpoint.parts.configs[name]:
                    spare[name] = module
        return spare

    def _warn_if_larger(self, model_id: str, target: Held) -> None:
        for name, wanted, budget in (
            ("ECURIE_RAM_BUDGET", target.ram, self._budgets.ram),
            ("ECURIE_VRAM_BUDGET", target.vram, self._budgets.vram),
        ):
            if wanted > budget:
                log.warning(
                    "model %s needs %.2f GB, more than the whole %s of %.2f GB: it is loaded alone",
                    model_id, wanted / 1e9, name, budget / 1e9,
                )  # fmt: skip

    def trim(self, user: Resident) -> None:
        """Keep to the budgets after `user` has grown, as a mapped model does when it is patched."""
        self._make_room(user, self._held(user))

    def _make_room(self, user: Resident, target: Held) -> None:
        if self._leave_until_fits(user, target):
            self._give_back()

    def _leave_until_fits(self, user: Resident | None, target: Held, coming: int = 0) -> list[Resident]:
        """Let idle models leave until `target` fits beside the others; returns those that left."""
        left = []
        while self._crowded(user, target, coming):
            idle = [key for key, one in self._models.items() if one is not user and not one.users]
            if not idle:
                break
            left.append(self._models.pop(idle[0]))
        return left

    def _crowded(self, user: Resident | None, target: Held, coming: int) -> bool:
        others = [self._held(one) for one in self._models.values() if one is not user]
        limit = self._budgets.models
        return (
            sum(held.ram for held in others) + target.ram + self.beside > self._budgets.ram
            or sum(held.vram for held in others) + target.vram > self._budgets.vram
            or (limit is not None and len(self._models) + coming > limit)
        )

    def clear(self) -> None:
        """Let every model leave that is not in use."""
        for key in [key for key, one in self._models.items() if not one.users]:
            self._models.pop(key)
        self._give_back()

    def _give_back(self) -> None:
        gc.collect()
        give_back_memory(self._compute.device)

    def _held(self, resident: Resident) -> Held:
        """What it takes now. Parts that an accelerator has sent to the host count as copies there."""
        ram = vram = 0
        for name, module in parts_of(resident.model).items():
            place, part = place_of(module), resident.need.parts[name]
            if place == META:
                continue
            if place.type != "cpu":
                vram += part.total
            else:
                ram += part.copied if self._compute.on_cpu else part.total
        return Held(ram + resident.model.patcher.own_bytes, vram)

    def describe(self) -> list[dict[str, Any]]:
        """The resident models, the one used last first."""
        return [
            {
                "id": resident.id,
                "weights": resident.need.total(),
                "ram": held.ram,
                "vram": held.vram,
                "last_used": datetime.fromtimestamp(resident.last_used, UTC).isoformat(timespec="seconds"),
                "in_use": resident.users > 0,
                "adapters": list(resident.stack),
            }
            for resident in reversed(self._models.values())
            for held in (self._held(resident),)
        ]
