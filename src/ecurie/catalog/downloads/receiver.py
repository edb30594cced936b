"""The bytes of one file, written as they come and hashed on the way; resumed where an attempt broke off."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx2

from ecurie.catalog.downloads.http import Http
from ecurie.catalog.downloads.patience import Passing, Patience, Pause
from ecurie.catalog.downloads.plan import RemoteFile
from ecurie.catalog.downloads.room import check_room
from ecurie.errors import DownloadFailed
from ecurie.formats.hashes import READ_BYTES, FileHasher, Hashes

TELL_SECONDS = 0.1
CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")

Listen = Callable[[int, int | None], None]
"""Told (bytes here, bytes in all or None); raises what is to stop the download."""


class Receiver:
    """Writes to `partial`, going on after what an earlier attempt left there.

    Only a file whose hash is known is resumed: what is put together must be checked.
    """

    def __init__(self, file: RemoteFile, partial: Path, http: Http, listen: Listen):
        self._file, self._partial, self._http, self._listen = file, partial, http, listen
        self._total = file.bytes
        self._have, self._hasher = 0, FileHasher()
        self._told_at = 0.0

    def receive(self, pause: Pause) -> Hashes:
        """The hashes of the whole file. A passing fault is tried again; progress renews the patience.

        Raises DownloadFailed, StorageFull, OSError, or what the listener raises.
        """
        self._read_partial()
        patience = Patience(pause)
        while not self._whole():
            before = self._have
            try:
                self._attempt()
                break
            except Passing as fault:
                patience.wait(fault, progressed=self._have > before)
        self._listen(self._have, self._have)
        return self._hasher.result()

    def _whole(self) -> bool:
        """Whether an earlier process had received everything already."""
        known = self._file.sha256
        return self._have > 0 and (self._have == self._total or self._hasher.result().sha256 == known)

    def _read_partial(self) -> None:
        if not self._partial.exists():
            return
        if self._file.sha256 is None or self._partial.stat().st_size > (self._total or 2**63):
            self._start_over()
            return
        with self._partial.open("rb") as stream:
            while data := stream.read(READ_BYTES):
                self._take(data)

    def _start_over(self) -> None:
        self._partial.write_bytes(b"")
        self._have, self._hasher = 0, FileHasher()

    def _take(self, data: bytes) -> None:
        self._hasher.update(data)
        self._have += len(data)
        if time.monotonic() - self._told_at >= TELL_SECONDS:
            self._told_at = time.monotonic()
            self._listen(self._have, self._total)

    def _attempt(self) -> None:
        file, headers = self._file, {"Range": f"bytes={self._have}-"} if self._have else {}
        with self._http.open(file.name, file.url, file.token, file.sign_in, headers) as response:
            self._begin(response)
            with self._partial.open("ab") as stream:
                for data in response.iter_raw():
                    self._http.count(len(data))
                    stream.write(data)
                    self._take(data)
                    if self._have > (self._total or self._have):
                        raise DownloadFailed(f"{file.name} is longer than its source says")
                stream.flush()
                os.fsync(stream.fileno())
        if self._have < (self._total or 0):
            raise Passing(f"{file.name}: the connection ended after {self._have:,} of {self._total:,} bytes")

    def _begin(self, response: httpx2.Response) -> None:
        """Settle where the answer goes on, and how long the file is."""
        begin, total = _extent(response)
        if begin is None or begin not in (0, self._have):
            self._start_over()
            raise Passing(f"{self._file.name}: its server cannot go on where the download broke off", 0)
        if begin == 0 and self._have:
            self._start_over()
        if self._file.bytes is None:
            self._total = total
            check_room(self._file.name, self._partial.parent, (total or 0) - self._have)
        elif total not in (None, self._file.bytes):
            raise DownloadFailed(
                f"{self._file.name} is {total:,} bytes long, where its source says {self._file.bytes:,}",
                remedy="it was replaced or damaged where it is published",
            )


def _extent(response: httpx2.Response) -> tuple[int | None, int | None]:
    """(first byte of the answer, length of the whole file); None: not told, or no such part."""
    if response.status_code == 206:
        match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        return (int(match[1]), int(match[2])) if match else (None, None)
    if response.status_code == 416:
        return None, None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None
