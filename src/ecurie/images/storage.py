"""Where files are kept by name: a folder of this machine, or an object store that several machines share.

A file is whole or not there at all, whatever happens while it is written.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from ecurie.errors import SettingsError
from ecurie.images.whole_files import remove_partial_files, remove_whole_or_partial, write_whole

Write = Callable[[IO[bytes]], object]


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that is there; `modified` in seconds since the epoch."""

    name: str
    bytes: int
    modified: float

    @property
    def state(self) -> str:
        """Another one once the file has been written again; 32 hex digits."""
        return hashlib.sha256(f"{self.modified}-{self.bytes}".encode()).hexdigest()[:32]


class Storage(Protocol):
    """Files by name, without folders. Each method raises StorageUnavailable when the place cannot be
    reached."""

    def write_whole(self, name: str, write: Write) -> None:
        """Raises StorageFull."""

    def find(self, name: str) -> Stored | None:
        """None for what is not there, and for any name that is not one of a file directly in here."""

    def read(self, name: str) -> bytes:
        """Raises FileNotFoundError, also for such a name."""

    def open(self, name: str) -> IO[bytes]:
        """For reading a part of it at a time, from any place. Raises FileNotFoundError."""

    def touch(self, name: str) -> None:
        """Make a file count as new."""

    def remove(self, name: str) -> None:
        """What is not there is no error."""

    def discard(self, name: str) -> None:
        """Remove it, and what killed processes left of it half written."""

    def all(self) -> Iterator[Stored]:
        """Every file, in any order."""

    def prepare(self, *, alone: bool) -> None:
        """At start: see that files can be kept here. Where nobody else writes now (`alone`), remove what a
        killed process left half written."""


def is_plain(name: str) -> bool:
    """Whether it names a file directly in a folder, and none that is hidden."""
    return bool(name) and name == os.path.basename(name) and name[0] != "." and "\0" not in name


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder of this machine. Links are not followed."""

    folder: Path

    def write_whole(self, name: str, write: Write) -> None:
        write_whole(self.folder / name, write)

    def find(self, name: str) -> Stored | None:
        file = self.folder / name
        if not is_plain(name) or file.is_symlink() or not file.is_file():
            return None
        status = file.stat()
        return Stored(name, status.st_size, status.st_mtime)

    def read(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read()

    def open(self, name: str) -> IO[bytes]:
        if self.find(name) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)
        return (self.folder / name).open("rb")

    def touch(self, name: str) -> None:
        os.utime(self.folder / name)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def discard(self, name: str) -> None:
        remove_whole_or_partial(self.folder / name)

    def all(self) -> Iterator[Stored]:
        if self.folder.is_dir():
            yield from (found for name in os.listdir(self.folder) if (found := self.find(name)))

    def prepare(self, *, alone: bool) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if alone:
            remove_partial_files(self.folder)


def open_storage(url: str, s3_endpoint_url: str | None = None) -> Storage:
    """`file:///folder` or `s3://bucket/prefix`.

    Raises SettingsError for another URL, or when the packages that it needs are not installed.
    """
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc:
        from ecurie.images.object_store import open_object_store

        return open_object_store(url, s3_endpoint_url)
    if parts.scheme != "file":
        raise SettingsError(
            f"outputs_url: {url} is no place for files", remedy="write file:///folder or s3://bucket/prefix"
        )
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise SettingsError(
            f"outputs_url: {url} names no folder of this machine", remedy="write file:///folder"
        )
    return LocalFolder(Path(unquote(parts.path)))
