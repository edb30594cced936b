"""Single numbers of a safetensors file, read without torch."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path

from ecurie.errors import WeightsInvalid
from ecurie.formats.safetensors_file import TensorInfo

FORMATS = {
    "F64": "<d",
    "F32": "<f",
    "F16": "<e",
    "I64": "<q",
    "I32": "<i",
    "I16": "<h",
    "I8": "<b",
    "U8": "<B",
}


def read_scalars(file: Path, tensors: Mapping[str, TensorInfo]) -> dict[str, float]:
    """The values of those tensors that hold one number of a known dtype.

    Raises WeightsInvalid when the file cannot be read, or changed since its header was.
    """
    found = {}
    try:
        with file.open("rb") as stream:
            data = 8 + int(struct.unpack("<Q", stream.read(8))[0])
            for key, info in tensors.items():
                if prod(info.shape) == 1 and info.dtype in (*FORMATS, "BF16"):
                    stream.seek(data + info.begin)
                    found[key] = _number(info.dtype, stream.read(info.end - info.begin))
    except (OSError, OverflowError, struct.error) as error:
        raise WeightsInvalid(f"{file} cannot be read: {error}") from error
    return found


def _number(dtype: str, content: bytes) -> float:
    # A bfloat16 is the upper half of a float32.
    if dtype == "BF16":
        return float(struct.unpack("<f", b"\0\0" + content)[0])
    return float(struct.unpack(FORMATS[dtype], content)[0])
