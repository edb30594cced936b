"""Hashes of files, computed once for each state of a file."""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from pathlib import Path

AUTO_V3_DIGITS = 12


def sha256_of(file: Path) -> str:
    """64 hex digits. Raises OSError."""
    return _hash(file, *_state(file), skip_header=False)


def auto_v3_of(file: Path) -> str:
    """What A1111 and Civitai call AutoV3: SHA-256 of the bytes after the safetensors header, 12 hex digits.

    It stays the same when a file's metadata is edited. Raises OSError.
    """
    return _hash(file, *_state(file), skip_header=True)[:AUTO_V3_DIGITS]


def _state(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=1024)
def _hash(file: Path, _modified: int, _size: int, *, skip_header: bool) -> str:
    with file.open("rb") as stream:
        if skip_header:
            stream.seek(struct.unpack("<Q", stream.read(8))[0], 1)
        return hashlib.file_digest(stream, "sha256").hexdigest()
