"""What a model takes of memory with adapters on it, at each step of the memory ladder, by headers.

An adapter is added to the weights themselves, so it takes nothing of an accelerator once it is on; that it
is computed there for one weight at a time is less than drawing takes. Its file stays in the host's memory,
and so do rewritten weights of parts that rest there. An IP-Adapter is part of the UNet while it draws; its
image encoder is on the accelerator only before that, instead of what drawing takes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ecurie.catalog.catalog import FoundModel
from ecurie.catalog.ip_adapters import FoundIpAdapter
from ecurie.engine.memory import RESERVE, TEXT_ENCODERS, Step, beside_weights, peak
from ecurie.engine.need import ModelNeed, need_of
from ecurie.formats.adapter_file import AdapterFile
from ecurie.formats.inventory import Inventory

COUNTS = (1, 3)
"""Of adapters in a stack."""
ON_CPU = (Step.ALL_RESIDENT, Step.TEXT_TO_HOST, Step.VAE_TILED)
Named = Sequence[tuple[str, AdapterFile]]


@dataclass(frozen=True, slots=True)
class Load:
    """What a job brings to a model, in bytes: `unet` in the UNet, `host` in the host's memory whatever the
    step, `rewritten` the weights that it changes, by part. `adapters` are their ids."""

    name: str
    unet: int = 0
    host: int = 0
    rewritten: Mapping[str, int] = field(default_factory=dict)
    adapters: tuple[str, ...] = ()
    ip_adapter: str | None = None


BASE = Load("base")


@dataclass(frozen=True, slots=True)
class Table:
    """`rows` by step of the ladder: the most bytes for each of the loads."""

    title: str
    loads: tuple[str, ...]
    rows: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class AdapterSize:
    """An adapter's tensors in memory, and the weights that it rewrites in float16: modules and bytes."""

    name: str
    bytes: int
    modules: int
    rewritten: int


def loads_of(
    adapters: Named, ip_adapter: FoundIpAdapter | None, inventory: Inventory, dtype: torch.dtype
) -> list[Load]:
    """None, the first adapters of COUNTS as far as there are so many, the IP-Adapter."""
    loads = [BASE]
    for count in COUNTS:
        if len(adapters) >= count:
            name = f"+{count} adapter{'s' if count > 1 else ''}"
            loads.append(adapters_load(name, adapters[:count], inventory, dtype))
    return loads if ip_adapter is None else [*loads, ip_adapter_load(ip_adapter, dtype)]


def adapters_load(name: str, adapters: Named, inventory: Inventory, dtype: torch.dtype) -> Load:
    """Of a stack; a weight that several change is counted once."""
    places = {(module.part, module.path) for _, adapter in adapters for module in adapter.modules}
    rewritten: dict[str, int] = {}
    for part, path in places:
        size = math.prod(inventory[part][path].shape) * dtype.itemsize
        rewritten[part] = rewritten.get(part, 0) + size
    host = sum(file_bytes(adapter) for _, adapter in adapters)
    return Load(name, 0, host, rewritten, tuple(adapter_id for adapter_id, _ in adapters))


def file_bytes(adapter: AdapterFile) -> int:
    """Of its tensors, as they are kept in memory."""
    return sum(info.end - info.begin for info in adapter.header.tensors.values())


def ip_adapter_load(found: FoundIpAdapter, dtype: torch.dtype) -> Load:
    """Both files are kept in the host's memory in the dtype that is computed in."""
    adapter = sum(math.prod(info.shape) for info in found.file.header.tensors.values()) * dtype.itemsize
    encoder = sum(math.prod(source.shape) for source in found.encoder.tensors.values()) * dtype.itemsize
    return Load("+IP-Adapter", adapter, adapter + encoder, ip_adapter=found.id)


def tables_of(
    model: FoundModel, adapters: Named, ip_adapter: FoundIpAdapter | None, size: tuple[int, int]
) -> list[Table]:
    """On an accelerator in float16: its memory and the host's; on a CPU in float32. `size` in pixels.

    Raises WeightsInvalid for a damaged file.
    """
    sources, inventory = model.checkpoint.parts.tensors, model.checkpoint.inventory
    half, single = need_of(sources, torch.float16), need_of(sources, torch.float32)
    loads = loads_of(adapters, ip_adapter, inventory, torch.float16)
    on_cpu = loads_of(adapters, ip_adapter, inventory, torch.float32)
    pixels, what = math.prod(size), f"{model.id}, {size[0]}×{size[1]} pixels"
    names = tuple(load.name for load in loads)
    return [
        Table(
            f"{what}: memory of an accelerator, float16",
            names,
            {step.label: [device_bytes(half, load, pixels, step) for load in loads] for step in Step},
        ),
        Table(
            f"{what}: memory of its host",
            names,
            {step.label: [host_bytes(half, load, step) for load in loads] for step in Step},
        ),
        Table(
            f"{what}: memory on a CPU, float32",
            names,
            {step.label: [cpu_bytes(single, load, pixels, step) for load in on_cpu] for step in ON_CPU},
        ),
    ]


def device_bytes(need: ModelNeed, load: Load, pixels: int, step: Step) -> int:
    return peak(step, need.with_more("unet", load.unet), pixels)


def host_bytes(need: ModelNeed, load: Load, step: Step) -> int:
    """Beside an accelerator: parts that rest here count as copies, as the residency counts them."""
    resting = _resting(need, step)
    rewritten = sum(size for part, size in load.rewritten.items() if part in resting)
    return sum(need.total(part) for part in resting) + rewritten + load.host


def cpu_bytes(need: ModelNeed, load: Load, pixels: int, step: Step) -> int:
    """What is stored in the dtype that is computed in is mapped, and takes nothing until it is changed. From
    `text-to-host` on, the text encoders are dropped before drawing."""
    mapped = sum(size for part, size in load.rewritten.items() if not need.parts[part].copied)
    text = sum(need.parts[part].copied for part in TEXT_ENCODERS) if step >= Step.TEXT_TO_HOST else 0
    drawing = beside_weights(step, need, pixels)
    return need.copied + max(drawing - text, RESERVE) + mapped + load.host


def _resting(need: ModelNeed, step: Step) -> Collection[str]:
    """Parts that are in the host's memory at some moment of a job."""
    if step >= Step.MODEL_OFFLOAD:
        return tuple(need.parts)
    return TEXT_ENCODERS if step >= Step.TEXT_TO_HOST else ()


def size_of(name: str, adapter: AdapterFile, inventory: Inventory) -> AdapterSize:
    load = adapters_load(name, [(name, adapter)], inventory, torch.float16)
    return AdapterSize(name, load.host, len(adapter.modules), sum(load.rewritten.values()))
