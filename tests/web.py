"""A file server on loopback with faults, for downloads from anywhere; `tests/civitai.py` builds on it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    path: str
    range: str | None
    authorization: str | None


class Web:
    """Serves `files` by path, with ranges.

    `faults` are used up one for each request for a file: a status (`503`, `429 2` with Retry-After), `cut`
    (half of what is asked for, then the connection ends), `long`, `short` (another length than the file's),
    `no-range`, `elsewhere` (a range that begins elsewhere), `html`, `slow`, `to URL` (a redirect), or empty.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: deque[str] = deque()
        self.asked: list[Asked] = []
        self.chunk_seconds = 0.0
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                sent = self.headers.get("Range"), self.headers.get("Authorization")
                web.asked.append(Asked(path, *sent))
                try:
                    web.answer(self, path)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        self.url = f"http://{self.host}"

    def answer(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        fault = self.faults.popleft() if self.faults else ""
        if fault[:3].isdecimal():
            status, _, seconds = fault.partition(" ")
            self.send(handler, int(status), b"no", **({"Retry-After": seconds} if seconds else {}))
        elif fault.startswith("to "):
            self.send(handler, 302, b"", Location=fault.removeprefix("to "))
        elif path not in self.files:
            self.send(handler, 404, b"nothing here")
        elif fault == "html":
            self.send(handler, 200, b"<html>", **{"Content-Type": "text/html; charset=utf-8"})
        else:
            self._send_file(handler, self.files[path], fault)

    def send(self, handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _send_file(self, handler: BaseHTTPRequestHandler, content: bytes, fault: str) -> None:
        content = {"long": content + b"more", "short": content[:-4]}.get(fault, content)
        wanted = "" if fault == "no-range" else handler.headers.get("Range", "")
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        if start > len(content) or (wanted and start == len(content)):
            self.send(handler, 416, b"")
            return
        told = start // 2 if fault == "elsewhere" else start
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {told}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - told))
        handler.end_headers()
        body = content[told:]
        if fault == "cut":
            handler.wfile.write(body[: len(body) // 2])
            handler.close_connection = True
            return
        self._write(handler, body, 0.3 if fault == "slow" else self.chunk_seconds)

    def _write(self, handler: BaseHTTPRequestHandler, body: bytes, seconds: float) -> None:
        """In twenty pieces with a pause between them."""
        size = max(1, len(body) // 20) if seconds else max(1, len(body))
        for begin in range(0, len(body), size):
            handler.wfile.write(body[begin : begin + size])
            time.sleep(seconds)


AnyWeb = TypeVar("AnyWeb", bound=Web)


@contextmanager
def running(web: AnyWeb) -> Iterator[AnyWeb]:
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.server.shutdown()
        web.server.server_close()
        thread.join()
