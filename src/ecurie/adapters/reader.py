"""From an adapter file to its deltas in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from ecurie.adapters.deltas import ALGORITHMS, Delta
from ecurie.adapters.deltas.dora import Dora
from ecurie.adapters.deltas.full import Full
from ecurie.adapters.embeddings import Embedding, read_embeddings
from ecurie.adapters.parallel import run_all
from ecurie.errors import AdapterInvalid
from ecurie.formats.adapter_file import AdapterFile, AdapterModule
from ecurie.formats.inventory import Part
from ecurie.formats.safetensors_file import Header, Stamp, TensorInfo, stamp_of

Place = tuple[Part, str, Literal["weight", "bias"]]
"""A tensor of the model: part, module path, which of the module's two."""

# Half of the time goes into giving fresh memory to the bytes, so more than one core reads.
CHUNK_BYTES = 1 << 24
BIAS_ROLES = ("diff_b", "b_norm")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
}


class Described(Protocol):
    """A file whose header has been checked, and its state then."""

    @property
    def file(self) -> Path: ...
    @property
    def header(self) -> Header: ...
    @property
    def stamp(self) -> Stamp: ...


class Deltas(Mapping[Place, Delta]):
    """The deltas of one file by place. The file's bytes are kept as they are stored; a delta is made from
    them, in float32, when it is asked for."""

    def __init__(self, described: AdapterFile, tensors: Mapping[str, Tensor]):
        self._tensors = tensors
        self._modules: dict[Place, AdapterModule] = {}
        for module in described.modules:
            self._modules[module.part, module.path, "weight"] = module
            if module.keys.keys() & set(BIAS_ROLES) or "scales_bias" in module.settings:
                self._modules[module.part, module.path, "bias"] = module

    def __getitem__(self, place: Place) -> Delta:
        module = self._modules[place]
        tensors = {role: torch.tensor(value) for role, value in module.settings.items()}
        tensors |= {role: self._tensors[key].float() for role, key in module.keys.items()}
        bias = next((tensors[role] for role in BIAS_ROLES if role in tensors), None)
        return Full(bias) if place[2] == "bias" and bias is not None else _delta(module, tensors)

    def __iter__(self) -> Iterator[Place]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


@dataclass(frozen=True)
class Adapter:
    """One file in memory: `tensors` by key, as stored; `size` in bytes."""

    sha256: str
    described: AdapterFile
    tensors: Mapping[str, Tensor]
    size: int
    embeddings: tuple[Embedding, ...]

    @cached_property
    def parts(self) -> frozenset[Part]:
        """The parts of a model that it changes."""
        return frozenset(module.part for module in self.described.modules)

    @cached_property
    def deltas(self) -> Deltas:
        return Deltas(self.described, self.tensors)


def load_adapter(described: AdapterFile, sha256: str) -> Adapter:
    """Read the whole file that `read_adapter` has described. Raises what `read_tensors` raises."""
    tensors = read_tensors(described)
    size = sum(tensor.nbytes for tensor in tensors.values())
    embeddings = read_embeddings(described.file, described.embeddings, tensors.__getitem__)
    return Adapter(sha256, described, tensors, size, embeddings)


def read_tensors(described: Described) -> dict[str, Tensor]:
    """Every tensor of a file, as stored, each value checked.

    It is read, not mapped: a file that is cut short while it is mapped kills the process. Raises
    AdapterInvalid for NaN, infinite values, or a file that changed since it was described.
    """
    content = _data_section(described)
    tensors = {key: _view(content, info) for key, info in described.header.tensors.items()}
    _refuse_non_finite(described, content, tensors)
    return tensors


def _data_section(described: Described) -> Tensor:
    """The bytes after the header; uint8."""
    size = sum(info.end - info.begin for info in described.header.tensors.values())
    content = torch.empty(size, dtype=torch.uint8)
    target, start = content.numpy().data, described.stamp[1] - size

    def read(begin: int) -> None:
        done, end = begin, min(size, begin + CHUNK_BYTES)
        with described.file.open("rb", buffering=0) as stream:
            stream.seek(start + begin)
            while done < end and (count := stream.readinto(target[done:end])):
                done += count
        if done < end:
            raise OSError("it was cut short while it was read")

    try:
        run_all([partial(read, begin) for begin in range(0, size, CHUNK_BYTES)])
    except OSError as error:
        raise AdapterInvalid(f"{described.file} cannot be read: {error}") from error
    if stamp_of(described.file) != described.stamp:
        raise AdapterInvalid(f"{described.file} was replaced while it was read", remedy="send it again")
    return content


def _view(content: Tensor, info: TensorInfo) -> Tensor:
    data = content[info.begin : info.end]
    dtype = DTYPES[info.dtype]
    if info.begin % dtype.itemsize:
        data = data.clone()
    return data.view(dtype).reshape(info.shape)


def _refuse_non_finite(described: Described, content: Tensor, tensors: Mapping[str, Tensor]) -> None:
    """A file of one float dtype is looked through in one pass: NaN and infinity come out as an extreme."""
    kinds = {info.dtype for info in described.header.tensors.values()}
    if len(kinds) == 1 and (dtype := DTYPES[next(iter(kinds))]).is_floating_point:
        extremes = torch.aminmax(content.view(dtype))
        if extremes.min.isfinite() and extremes.max.isfinite():
            return
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise AdapterInvalid(f"{described.file}: {key} holds NaN or infinite values")


def _delta(module: AdapterModule, tensors: dict[str, Tensor]) -> Delta:
    delta = ALGORITHMS[module.algorithm](tensors)
    if "dora_scale" in tensors:
        return Dora(delta, tensors["dora_scale"], scales_delta=False)
    if "magnitude" in tensors:
        return Dora(delta, tensors["magnitude"].flatten(), scales_delta=True)
    return delta
