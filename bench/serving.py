"""A server of demo models for a measurement: started on a free port, with its data in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START_SECONDS = 120


@dataclass(frozen=True)
class Served:
    port: int
    data_dir: Path

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of an answer; raises HTTPError for anything but success."""
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            content,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.load(answer)

    def worker_pid(self) -> int:
        pid: int = self.ask("GET", "/system")["workers"][0]["pid"]
        return pid

    @contextmanager
    def worker_stopped(self) -> Iterator[None]:
        """So that it takes no core; its lease must be longer than this lasts."""
        pid = self.worker_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def served(data_dir: Path, *flags: str) -> Iterator[Served]:
    """Ready to run jobs; stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (data_dir / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "ecurie",
                "serve",
                "--port",
                str(port),
                "--data-dir",
                str(data_dir),
                *flags,
            ],
            stdout=log,
            stderr=log,
        )
    server = Served(port, data_dir)
    try:
        _wait_ready(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(60)


def _wait_ready(server: Served, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.ask("GET", "/readyz")
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit((server.data_dir / "log").read_text())
            time.sleep(0.1)
