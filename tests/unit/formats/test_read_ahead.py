from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ecurie.formats.hashes import known_sha256
from ecurie.formats.read_ahead import CHUNK_BYTES, in_page_cache, read_ahead

SIZE = 3 * CHUNK_BYTES + 17


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A large file that was written long ago, and whose pages are not in memory."""
    file = tmp_path / "weights.safetensors"
    file.write_bytes(os.urandom(SIZE))
    os.utime(file, (1e9, 1e9))
    forget_pages(file)
    return file


def forget_pages(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def go_on() -> None:
    pass


def test_a_whole_file_is_read_and_hashed_once(file: Path) -> None:
    assert known_sha256(file) is None
    assert read_ahead(file, 10**9, go_on) == SIZE
    assert known_sha256(file) == hashlib.sha256(file.read_bytes()).hexdigest()
    assert in_page_cache(file, SIZE)
    assert read_ahead(file, 10**9, go_on) == 0


def test_a_known_file_that_has_left_memory_is_read_again(file: Path) -> None:
    read_ahead(file, 10**9, go_on)
    forget_pages(file)
    # A file system in memory keeps its pages whatever one asks.
    missing = 0 if in_page_cache(file, SIZE) else SIZE
    assert read_ahead(file, 10**9, go_on) == missing
    assert in_page_cache(file, SIZE)


@pytest.mark.parametrize("most", [-5, 0, 1, CHUNK_BYTES + 1])
def test_no_more_is_read_than_there_is_room_for(file: Path, most: int) -> None:
    done = read_ahead(file, most, go_on)
    assert max(0, most) <= done <= max(0, most) + CHUNK_BYTES
    assert known_sha256(file) is None


def test_it_stops_within_a_chunk(file: Path) -> None:
    calls = iter([None, RuntimeError("stop")])

    def check() -> None:
        if error := next(calls):
            raise error

    with pytest.raises(RuntimeError, match="stop"):
        read_ahead(file, 10**9, check)
    assert known_sha256(file) is None


def test_a_file_that_changes_while_it_is_read_is_not_known(file: Path) -> None:
    def check() -> None:
        with file.open("r+b") as stream:
            stream.write(b"changed")

    read_ahead(file, 10**9, check)
    assert known_sha256(file) is None
