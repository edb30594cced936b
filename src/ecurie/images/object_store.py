"""Files in S3-compatible storage, by fsspec: the only module that uses it."""

from __future__ import annotations

import errno
import io
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from ecurie.errors import SettingsError, StorageUnavailable
from ecurie.images.storage import Storage, Stored, Write, is_plain

TOUCHED_AFTER_SECONDS = 3600.0
BLOCK_BYTES = 1 << 20
TIMEOUTS = {"connect_timeout": 5, "read_timeout": 30}


def open_object_store(url: str, endpoint_url: str | None) -> Storage:
    """Credentials and region come from the environment, as for AWS' own tools.

    Raises SettingsError when s3fs is not installed.
    """
    try:
        import s3fs
    except ImportError as error:
        raise SettingsError(
            f"outputs_url: {url} needs s3fs, which is not installed",
            remedy="install the extra: pip install 'ecurie[cluster]'",
        ) from error
    # A listing that is remembered would hide what other machines write.
    files = s3fs.S3FileSystem(endpoint_url=endpoint_url, use_listings_cache=False, config_kwargs=TIMEOUTS)
    return ObjectStore(files, url.rstrip("/"))


@dataclass(frozen=True, slots=True)
class ObjectStore:
    """`files` is fsspec's file system, `url` the bucket and prefix in it."""

    files: Any
    url: str

    def write_whole(self, name: str, write: Write) -> None:
        """Put in one request, so nobody ever sees a part of it."""
        content = io.BytesIO()
        write(content)
        with self._reached():
            try:
                self.files.pipe_file(self._path(name), content.getvalue())
            except FileNotFoundError as error:
                raise ConnectionError("the bucket is not there") from error

    def find(self, name: str) -> Stored | None:
        if not is_plain(name):
            return None
        try:
            with self._reached():
                return _stored(self.files.info(self._path(name)))
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        if not is_plain(name):
            raise _not_found(name)
        with self._reached():
            content: bytes = self.files.cat_file(self._path(name))
            return content

    def open(self, name: str) -> IO[bytes]:
        """Blocks are asked for by the version that was opened, so a file that is replaced meanwhile is not
        mixed with the new one."""
        if self.find(name) is None:
            raise _not_found(name)
        with self._reached():
            file: IO[bytes] = self.files.open(self._path(name), "rb", block_size=BLOCK_BYTES)
            return file

    def touch(self, name: str) -> None:
        """Only writing makes a file new here, so one that was new an hour ago is left alone."""
        found = self.find(name)
        if found is not None and time.time() - found.modified > TOUCHED_AFTER_SECONDS:
            content = self.read(name)
            self.write_whole(name, lambda file: file.write(content))

    def remove(self, name: str) -> None:
        with self._reached():
            self.files.rm_file(self._path(name))

    def discard(self, name: str) -> None:
        self.remove(name)

    def all(self) -> Iterator[Stored]:
        try:
            with self._reached():
                found = self.files.ls(self.url, detail=True)
        except FileNotFoundError:
            return
        for info in found:
            stored = _stored(info)
            if stored is not None and is_plain(stored.name):
                yield stored

    def prepare(self, *, alone: bool) -> None:
        name = f"ecurie-{uuid.uuid4().hex}"
        self.write_whole(name, lambda file: file.write(b"ecurie sees whether it may write here"))
        self.remove(name)

    def _path(self, name: str) -> str:
        return f"{self.url}/{name}"

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:
            # Botocore, aiohttp and s3fs have errors of their own, of no common class.
            raise StorageUnavailable(
                f"{self.url} cannot be used: {type(error).__name__}: {error}",
                remedy="see that the storage is up, and that bucket and credentials are right",
            ) from error


def _not_found(name: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _stored(info: dict[str, Any]) -> Stored | None:
    """None for a prefix that other files have."""
    if info["type"] != "file":
        return None
    return Stored(info["name"].rpartition("/")[2], int(info["size"]), info["LastModified"].timestamp())
