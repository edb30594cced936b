"""Locks that the kernel frees when their process dies: how a dead worker is told from a slow one."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO


class ProcessLock:
    """An exclusive lock on a file, held until `release` or the death of the process.

    Workers are started anew (never forked), so no child inherits a lock.
    """

    def __init__(self, file: Path):
        self._file = file
        self._stream: IO[bytes] | None = None

    def acquire(self) -> bool:
        """False when a living process holds it."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        stream = self._file.open("a+b")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            return False
        os.set_inheritable(stream.fileno(), False)
        self._stream = stream
        return True

    def release(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def is_alive(file: Path) -> bool:
    """Whether a process holds the lock on `file`."""
    if not file.exists():
        return False
    lock = ProcessLock(file)
    if lock.acquire():
        lock.release()
        return False
    return True
