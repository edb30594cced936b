"""The processes of a server under test, found by its data folder; they may be nobody's children."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.conftest import Server


def processes_of(data_dir: Path, *, workers_only: bool = False) -> list[int]:
    """Every living process that was started with this data folder."""
    environment = f"ECURIE_DATA_DIR={data_dir}".encode()
    command = b"ecurie.worker" if workers_only else b""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdecimal()
        and environment in _read(entry / "environ").split(b"\0")
        and command in _read(entry / "cmdline")
    ]


def _read(file: Path) -> bytes:
    """Nothing for a process that is gone."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def wait_until_gone(server: Server, seconds: float = 10) -> None:
    """A killed process that is nobody's child takes a moment to leave /proc."""
    deadline = time.monotonic() + seconds
    while processes_of(server.data_dir) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_of(server.data_dir) == []


def send(pid: int, number: signal.Signals) -> None:
    """To a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_all(server: Server) -> None:
    for pid in processes_of(server.data_dir):
        send(pid, signal.SIGKILL)
    server.process.wait()
