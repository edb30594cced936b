"""The safetensors header, checked against the file's length before anything maps the file.

Format: 8 bytes little-endian header length, a JSON header, the tensors' bytes
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

from ecurie.errors import WeightsInvalid, WeightsMissing

MAX_HEADER_BYTES = 100_000_000


def check_header(file: Path) -> None:
    """Raise WeightsInvalid unless the header is readable and the file as long as its header says."""
    try:
        length = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(8)
            header_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
            if not 2 <= header_bytes <= min(MAX_HEADER_BYTES, length - 8):
                raise WeightsInvalid(f"{file} is not a safetensors file, or is cut short")
            header = json.loads(stream.read(header_bytes))
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except FileNotFoundError as error:
        raise WeightsMissing(f"{file} is missing") from error
    except OSError as error:
        raise WeightsInvalid(f"{file} cannot be read: {error.strerror}") from error
    except (AttributeError, TypeError, KeyError, IndexError, ValueError, RecursionError) as error:
        raise WeightsInvalid(f"{file} has a damaged safetensors header") from error
    missing = 8 + header_bytes + end - length
    if missing != 0:
        raise WeightsInvalid(
            f"{file} is {abs(missing):,} bytes too {'short' if missing > 0 else 'long'}",
            remedy="the download was interrupted or the file damaged: delete it and get it again",
        )
