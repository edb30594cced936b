"""One file from its address to its place: resumed, verified, and only then under its name."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecurie.catalog.downloads.http import Http
from ecurie.catalog.downloads.patience import Pause
from ecurie.catalog.downloads.plan import RemoteFile
from ecurie.catalog.downloads.receiver import Listen, Receiver
from ecurie.errors import DownloadFailed, StorageFull, WeightsInvalid
from ecurie.formats.hashes import Hashes, remember_hashes
from ecurie.formats.safetensors_file import read_header
from ecurie.locks import ProcessLock

LOCK_WAIT_SECONDS = 0.2
FULL = (errno.ENOSPC, errno.EDQUOT)


def fetch_file(file: RemoteFile, http: Http, locks: Path, listen: Listen, pause: Pause) -> None:
    """Get a file, or what is missing of it; a file that is at its place already is left alone.

    Of two processes that want the same file, the second waits and then finds it. Raises DownloadFailed,
    StorageFull, WeightsInvalid for a safetensors file that is damaged as published, or what `listen` raises.
    """
    with _alone(file, locks, listen, pause):
        if file.place.exists():
            size = file.place.stat().st_size
            listen(size, size)
            return
        partial = partial_of(file.place)
        try:
            file.place.parent.mkdir(parents=True, exist_ok=True)
            hashes = Receiver(file, partial, http, listen).receive(pause)
        except OSError as error:
            raise _cannot_write(file, partial, error) from error
        _verify(file, partial, hashes)
        partial.replace(file.place)
        remember_hashes(file.place, hashes)


def partial_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.partial")


def _cannot_write(file: RemoteFile, partial: Path, error: OSError) -> StorageFull | DownloadFailed:
    """On a full disk the partial file goes: the job table needs the room."""
    if error.errno in FULL:
        partial.unlink(missing_ok=True)
        return StorageFull(f"the disk is full: {file.name} was not kept", remedy="free some disk space")
    return DownloadFailed(f"{file.name} cannot be written to {file.place.parent}: {error.strerror}")


@contextmanager
def _alone(file: RemoteFile, locks: Path, listen: Listen, pause: Pause) -> Iterator[None]:
    name = hashlib.sha256(os.fsencode(file.place.absolute())).hexdigest()[:16]
    lock = ProcessLock(locks / f"{name}.lock")
    while not lock.acquire():
        here = partial_of(file.place)
        listen(here.stat().st_size if here.exists() else 0, file.bytes)
        pause(LOCK_WAIT_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _verify(file: RemoteFile, partial: Path, hashes: Hashes) -> None:
    """What is not what was promised is deleted: it must not be resumed."""
    try:
        if file.sha256 is not None and hashes.sha256 != file.sha256:
            raise DownloadFailed(
                f"{file.name} is not what its source says: its SHA-256 is {hashes.sha256}, not {file.sha256}",
                remedy="try once more; if it stays so, the file is another one where it is published",
            )
        if file.place.suffix == ".safetensors":
            try:
                read_header(partial)
            except WeightsInvalid as error:
                what = str(error).replace(str(partial), file.name)
                raise WeightsInvalid(what, remedy=error.remedy) from error
    except (DownloadFailed, WeightsInvalid):
        partial.unlink()
        raise
