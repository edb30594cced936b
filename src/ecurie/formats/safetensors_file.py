"""The safetensors header, checked against the file before anything maps the file.

Format: 8 bytes little-endian header length, a JSON header, the tensors' bytes
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecurie.errors import WeightsInvalid, WeightsMissing
from ecurie.formats.sniff import SNIFFED_BYTES, what_begins_with

# The format allows 100 MB, of which Python makes gigabytes; the largest that trainers write have a few MB.
TICK_NS = 100_000_000
MAX_HEADER_BYTES = 25_000_000
MAX_AXES = 32
MAX_REASON = 200
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


Stamp = tuple[int, int]
"""A file's modification time in nanoseconds and its bytes: what tells its states apart."""


def stamp_of(file: Path) -> Stamp:
    """Raises WeightsMissing, or WeightsInvalid when the file may not be read."""
    try:
        status = file.stat()
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is missing") from error
    except OSError as error:
        raise WeightsInvalid(f"{file} cannot be read: {error.strerror}") from error
    return status.st_mtime_ns, status.st_size


def is_settled(stamp: Stamp) -> bool:
    """Whether the stamp tells this state of the file from the next: clocks of file systems tick slowly, and
    two writes within a tick look the same."""
    return time.time_ns() - stamp[0] > TICK_NS


def read_header(file: Path) -> Header:
    """Read and check a header; no tensor is read.

    Raises WeightsMissing, or WeightsInvalid for what is no safetensors file, is cut short or too long, names
    a tensor twice, or whose tensors overlap or have another size than their shape says.
    """
    try:
        length = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(SNIFFED_BYTES)
            header_bytes = struct.unpack("<Q", start[:8])[0] if len(start) >= 8 else -1
            if MAX_HEADER_BYTES < header_bytes <= length - 8:
                raise WeightsInvalid(
                    f"{file} has a header of {header_bytes:,} bytes; at most {MAX_HEADER_BYTES:,} are read",
                    remedy="no known file needs so many: check where it comes from",
                )
            if not 2 <= header_bytes <= length - 8:
                what, remedy = what_begins_with(start)
                raise WeightsInvalid(f"{file} is not a safetensors file: {what}", remedy=remedy)
            stream.seek(8)
            content = json.loads(stream.read(header_bytes), object_pairs_hook=_without_duplicates)
        metadata = {_text(key): _text(value) for key, value in content.pop("__metadata__", {}).items()}
        # A name with half of a surrogate pair could stand in no message: refused here.
        for name in content:
            name.encode()
        tensors = {name: _tensor_info(entry) for name, entry in content.items()}
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is missing") from error
    except OSError as error:
        raise WeightsInvalid(f"{file} cannot be read: {error.strerror}") from error
    except (AttributeError, TypeError, KeyError, ValueError, RecursionError) as error:
        raise WeightsInvalid(f"{file} has a damaged safetensors header: {str(error)[:MAX_REASON]}") from error
    _check_extent(file, tensors, length - 8 - header_bytes)
    return Header(tensors, metadata)


def _text(value: object) -> str:
    """Halves of surrogate pairs, which JSON can spell but no answer can carry, become question marks."""
    return str(value).encode("utf-8", "replace").decode()


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in it")
    return found


def _tensor_info(entry: dict[str, Any]) -> TensorInfo:
    shape = tuple(entry["shape"])
    begin, end = entry["data_offsets"]
    whole = all(type(number) is int and 0 <= number < 2**63 for number in (*shape, begin, end))
    # The product of a million axes would take minutes.
    if not whole or len(shape) > MAX_AXES or end - begin != math.prod(shape) * DTYPE_BYTES[entry["dtype"]]:
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
