"""Hashes of files, both computed in one read, once for each state of a file.

Those of large files are kept in a small database that processes share; smaller ones in memory alone.
"""

from __future__ import annotations

import hashlib
import logging
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ecurie.formats.hash_store import HashStore
from ecurie.formats.safetensors_file import is_settled

log = logging.getLogger(__name__)
# AutoV2 is the beginning of the SHA-256 of the whole file.
AUTO_V2_DIGITS = 10
AUTO_V3_DIGITS = 12
KEPT_FROM_BYTES = 1_000_000
ANNOUNCED_FROM_BYTES = 1_000_000_000
READ_BYTES = 1 << 22
LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Hashes:
    """`sha256` is of the whole file, `after_header` of the bytes after the safetensors header; hex digits."""

    sha256: str
    after_header: str


class FileHasher:
    """Both hashes of a file whose bytes are given in order."""

    def __init__(self) -> None:
        self._whole, self._rest = hashlib.sha256(), hashlib.sha256()
        self._start = b""
        self._header_left: int | None = None

    def update(self, data: bytes) -> None:
        self._whole.update(data)
        if self._header_left is None:
            self._start += data
            if len(self._start) < LENGTH_BYTES:
                return
            self._header_left = struct.unpack("<Q", self._start[:LENGTH_BYTES])[0]
            data = self._start[LENGTH_BYTES:]
        skipped = min(self._header_left, len(data))
        self._header_left -= skipped
        self._rest.update(memoryview(data)[skipped:])

    def result(self) -> Hashes:
        return Hashes(self._whole.hexdigest(), self._rest.hexdigest())


class _Known:
    """What this process knows: the last files in memory, and the store once it has been named."""

    def __init__(self, files: int = 1024):
        self.store: HashStore | None = None
        self._files, self._recent = files, OrderedDict[tuple[Path, int, int], Hashes]()
        self._lock = threading.Lock()
        self._reading: dict[Path, threading.Lock] = {}

    def hashes_of(self, file: Path) -> Hashes:
        status = file.stat()
        key = (file.absolute(), status.st_mtime_ns, status.st_size)
        with self._lock:
            reading = self._reading.setdefault(key[0], threading.Lock())
        # A second thread that asks for the same file waits for the first instead of reading it again.
        with reading:
            found = self._find(key)
            if found is None:
                found = _read(file, status.st_size)
                if is_settled(key[1:]):
                    self.keep(key, found)
        with self._lock:
            self._reading.pop(key[0], None)
        return found

    def known(self, file: Path) -> Hashes | None:
        status = file.stat()
        return self._find((file.absolute(), status.st_mtime_ns, status.st_size))

    def files_with(self, sha256: str) -> Iterator[Path]:
        for name, modified, size in self.store.files_with(sha256) if self.store else []:
            with suppress(OSError):
                status = Path(name).stat()
                if (status.st_mtime_ns, status.st_size) == (modified, size):
                    yield Path(name)

    def _find(self, key: tuple[Path, int, int]) -> Hashes | None:
        with self._lock:
            found = self._recent.get(key)
        if found is None and self.store is not None and key[2] >= KEPT_FROM_BYTES:
            kept = self.store.find(*key)
            found = None if kept is None else Hashes(*kept)
        return found

    def keep(self, key: tuple[Path, int, int], hashes: Hashes) -> None:
        with self._lock:
            self._recent[key] = hashes
            while len(self._recent) > self._files:
                self._recent.popitem(last=False)
        if self.store is not None and key[2] >= KEPT_FROM_BYTES:
            self.store.keep(*key, hashes.sha256, hashes.after_header)


_known = _Known()


def keep_hashes_in(database: Path) -> None:
    """Where this process finds and keeps the hashes of large files; said once, where settings are read."""
    _known.store = HashStore(database)


def remember_hashes(file: Path, hashes: Hashes) -> None:
    """What a download has computed on the way needs no second read. Raises OSError."""
    status = file.stat()
    _known.keep((file.absolute(), status.st_mtime_ns, status.st_size), hashes)


def hashes_of(file: Path) -> Hashes:
    """Raises OSError."""
    return _known.hashes_of(file)


def known_sha256(file: Path) -> str | None:
    """The hash if it need not be computed. Raises OSError."""
    found = _known.known(file)
    return None if found is None else found.sha256


def known_files(sha256: str) -> list[Path]:
    """Large files, wherever they are, that had this hash when they were read last, and have not changed."""
    return list(_known.files_with(sha256))


def sha256_of(file: Path) -> str:
    """64 hex digits. Raises OSError."""
    return hashes_of(file).sha256


def auto_v3_of(file: Path) -> str:
    """What A1111 and Civitai call AutoV3: SHA-256 of the bytes after the safetensors header, 12 hex digits.

    It stays the same when a file's metadata is edited. Raises OSError, WeightsMissing or
    WeightsInvalid.
    """
    return hashes_of(file).after_header[:AUTO_V3_DIGITS]


def _read(file: Path, size: int) -> Hashes:
    began, announced = time.monotonic(), size >= ANNOUNCED_FROM_BYTES
    if announced:
        log.info("hashing %s (%.1f GB): once, its hashes are kept", file, size / 1e9)
    hasher = FileHasher()
    with file.open("rb") as stream:
        while data := stream.read(READ_BYTES):
            hasher.update(data)
    if announced:
        log.info("hashed %s in %.0f s", file, time.monotonic() - began)
    return hasher.result()
