"""A small Hugging Face Hub on loopback: the routes that downloading a repository needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves `folder` as `owner/name`. `fault` makes the next answers fail: gated, missing, stuck (half of
    a file of weights, then nothing); `seconds` is the time that each megabyte takes."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.fault: str | None = None
        self.served: list[str] = []
        self.resumed: list[str] = []
        self.seconds = 0.0
        self.freed = threading.Event()
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                hub.answer(self, with_body=False)

            def do_GET(self) -> None:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    hub.answer(self, with_body=True)

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, handler: BaseHTTPRequestHandler, *, with_body: bool) -> None:
        path = unquote(urlsplit(handler.path).path)
        if self.fault == "gated":
            self._refuse(handler, 403, "GatedRepo")
        elif self.fault == "missing" or "/owner/name" not in path:
            self._refuse(handler, 404, "RepoNotFound")
        elif path.startswith("/api/models/owner/name"):
            self._describe(handler, path)
        else:
            self._send_file(handler, path.partition(f"/resolve/{COMMIT}/")[2], with_body)

    def _refuse(self, handler: BaseHTTPRequestHandler, status: int, code: str) -> None:
        handler.send_response(status)
        handler.send_header("X-Error-Code", code)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _describe(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        if "/revision/" in path and path.rpartition("/")[2] not in ("main", COMMIT):
            self._refuse(handler, 404, "RevisionNotFound")
            return
        names = sorted(
            str(file.relative_to(self.folder)) for file in self.folder.rglob("*") if file.is_file()
        )
        if "/tree/" in path:
            entries = [
                {"type": "file", "path": name, "size": (self.folder / name).stat().st_size, "oid": name}
                for name in names
            ]
            content = json.dumps(entries)
        else:
            siblings = [self._sibling(name) for name in names]
            content = json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": siblings})
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content.encode())

    def _sibling(self, name: str) -> dict[str, Any]:
        """Weights lie in LFS, where their SHA-256 is known."""
        content = (self.folder / name).read_bytes()
        found: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": name}
        if name.endswith(".safetensors"):
            digest = hashlib.sha256(content).hexdigest()
            found["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
        return found

    def _send_file(self, handler: BaseHTTPRequestHandler, name: str, with_body: bool) -> None:
        content = (self.folder / name).read_bytes()
        start = 0
        wanted = handler.headers.get("Range", "")
        if with_body and wanted.startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        handler.send_header("X-Repo-Commit", COMMIT)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        if with_body:
            (self.resumed if start else self.served).append(name)
            self._send_body(handler, content[start:], name)

    def _send_body(self, handler: BaseHTTPRequestHandler, body: bytes, name: str) -> None:
        if self.fault == "stuck" and name.endswith(".safetensors"):
            handler.wfile.write(body[: len(body) // 2])
            self.freed.wait(60)
            handler.close_connection = True
            return
        for begin in range(0, len(body), 1 << 20):
            handler.wfile.write(body[begin : begin + (1 << 20)])
            time.sleep(self.seconds)


@contextmanager
def serving(folder: Path) -> Iterator[Hub]:
    hub = Hub(folder)
    thread = threading.Thread(target=hub.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.freed.set()
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()
