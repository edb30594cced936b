"""The safetensors header, checked against the file before anything maps the file.

Format: 8 bytes little-endian header length, a JSON header, the tensors' bytes
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecurie.errors import WeightsInvalid, WeightsMissing

MAX_HEADER_BYTES = 100_000_000
DTYPE_BYTES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
}
DTYPE_BYTES |= {"I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """`dtype` as the format writes it (`F16`); `begin` and `end` are byte offsets after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Header:
    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]


def read_header(file: Path) -> Header:
    """Read and check a header; no tensor is read.

    Raises WeightsMissing, or WeightsInvalid for what is no safetensors file, is cut short or too long, names
    a tensor twice, or whose tensors overlap or have another size than their shape says.
    """
    try:
        length = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            header_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= header_bytes <= min(MAX_HEADER_BYTES, length - 8):
                raise WeightsInvalid(f"{file} is not a safetensors file, or is cut short")
            content = json.loads(stream.read(header_bytes), object_pairs_hook=_without_duplicates)
        metadata = {str(key): str(value) for key, value in content.pop("__metadata__", {}).items()}
        tensors = {name: _tensor_info(entry) for name, entry in content.items()}
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is missing") from error
    except OSError as error:
        raise WeightsInvalid(f"{file} cannot be read: {error.strerror}") from error
    except (AttributeError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise WeightsInvalid(f"{file} has a damaged safetensors header: {error}") from error
    _check_extent(file, tensors, length - 8 - header_bytes)
    return Header(tensors, metadata)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in it")
    return found


def _tensor_info(entry: dict[str, Any]) -> TensorInfo:
    shape = tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    if not whole or end - begin != math.prod(shape) * DTYPE_BYTES[entry["dtype"]]:
        raise ValueError("a tensor's bytes do not fit its shape")
    return TensorInfo(entry["dtype"], shape, begin, end)


def _check_extent(file: Path, tensors: dict[str, TensorInfo], data_bytes: int) -> None:
    """The tensors must fill the data section without gap or overlap."""
    position = 0
    for info in sorted(tensors.values(), key=lambda info: (info.begin, info.end)):
        if info.begin != position:
            raise WeightsInvalid(
                f"{file} has a damaged safetensors header: its tensors overlap or leave gaps"
            )
        position = info.end
    if position != data_bytes:
        missing = position - data_bytes
        raise WeightsInvalid(
            f"{file} is {abs(missing):,} bytes too {'short' if missing > 0 else 'long'}",
            remedy="the download was interrupted or the file damaged: delete it and get it again",
        )
