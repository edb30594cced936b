"""Bringing a file into the system's page cache before anybody needs it, and hashing it on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ecurie.formats.hashes import FileHasher, known_sha256, remember_hashes
from ecurie.formats.safetensors_file import is_settled, stamp_of

CHUNK_BYTES = 1 << 22
SAMPLES = 64


def read_ahead(file: Path, most: int, check: Callable[[], None]) -> int:
    """Bring the file's first `most` bytes into the page cache; returns how many were not there yet.

    A file whose hashes are not known is hashed as it comes, if it comes whole. `check` is called at every
    chunk and raises what is to stop the reading. Raises OSError.
    """
    stamp = stamp_of(file)
    size = stamp[1]
    wanted = min(size, max(0, most))
    hasher = FileHasher() if wanted == size and known_sha256(file) is None else None
    if hasher is None and in_page_cache(file, wanted):
        return 0
    buffer, done = bytearray(CHUNK_BYTES), 0
    with file.open("rb", buffering=0) as stream:
        while done < wanted and (count := stream.readinto(buffer)):
            check()
            done += count
            if hasher is not None:
                hasher.update(bytes(memoryview(buffer)[:count]))
    if hasher is not None and done == size and stamp_of(file) == stamp and is_settled(stamp):
        remember_hashes(file, hasher.result())
    return done


def in_page_cache(file: Path, size: int) -> bool:
    """Whether the first `size` bytes seem to be there, by samples; False where the system cannot tell."""
    if not hasattr(os, "RWF_NOWAIT") or not size:
        return not size
    descriptor = os.open(file, os.O_RDONLY)
    try:
        for number in range(SAMPLES):
            os.preadv(descriptor, [bytearray(1)], size * number // SAMPLES, os.RWF_NOWAIT)
    except OSError:
        # Would have to wait for the disk, or the file system does not know the question.
        return False
    finally:
        os.close(descriptor)
    return True
