"""A small Civitai on loopback: the API of versions, and downloads that redirect to a storage of their own."""

from __future__ import annotations

import hashlib
import json
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.web import Web

TOKEN = "civitai-secret"


class Civitai(Web):
    """Versions by id, their files on `storage`, another server. With `needs_token`, TOKEN must be sent."""

    def __init__(self, storage: Web):
        super().__init__()
        self.storage = storage
        self.versions: dict[int, dict[str, Any]] = {}
        self.needs_token = False

    def publish(self, version: int, content: bytes, name: str = "style.safetensors", **more: Any) -> None:
        """Add a file to a version; `more` overrides fields of the file (`hashes`, `downloadUrl`, …)."""
        answer = self.versions.setdefault(
            version,
            {
                "id": version,
                "name": "v1.0",
                "baseModel": "Pony",
                "trainedWords": ["inked, bold lines", "ink"],
                "model": {"name": "Inky", "type": "LORA"},
                "files": [],
            },
        )
        number = 1000 + len(answer["files"])
        self.storage.files[f"/blob/{version}/{number}"] = content
        answer["files"].append(
            {
                "id": number,
                "name": name,
                "type": "Model",
                "sizeKB": len(content) / 1024,
                "primary": not answer["files"],
                "hashes": {"SHA256": hashlib.sha256(content).hexdigest().upper()},
                "downloadUrl": f"{self.url}/api/download/models/{version}?file={number}",
                **more,
            }
        )

    def answer(self, handler: BaseHTTPRequestHandler, path: str) -> None:
        kind, _, number = path.rpartition("/")
        version = self.versions.get(int(number)) if number.isdecimal() else None
        signed_in = handler.headers.get("Authorization") == f"Bearer {TOKEN}"
        if self.faults:
            super().answer(handler, path)
        elif version is None:
            self.send(handler, 404, b'{"error": "No version"}')
        elif kind == "/api/v1/model-versions":
            self.send(handler, 200, json.dumps(version).encode(), **{"Content-Type": "application/json"})
        elif self.needs_token and not signed_in:
            self.send(handler, 401, b'{"error": "Unauthorized"}')
        else:
            file = handler.path.rpartition("=")[2]
            self.send(handler, 307, b"", Location=f"{self.storage.url}/blob/{number}/{file}")
