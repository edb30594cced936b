"""Requests of clients that are not Python, as their sources write them, and what they read of the answers."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from tests.conftest import Server

BODIES = Path(__file__).parents[1] / "data" / "clients"


def bodies_of(client: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((BODIES / f"{client}.json").read_text())
    return content


def opened(image: str) -> Image.Image:
    """Of bare base64."""
    return Image.open(io.BytesIO(base64.b64decode(image, validate=True)))


def native(server: Server, **body: Any) -> list[Image.Image]:
    """What our own interface draws of a body, as the web UI's are read."""
    sent = {"prompt_syntax": "a1111", "wildcards": False, "negative_prompt": "", **body}
    job = server.client.post("/generate?wait=100", json=sent).json()
    assert job.get("state") == "succeeded", job
    urls = [image["url"] for image in job["result"]["images"]]
    return [Image.open(io.BytesIO(server.client.get(url).content)) for url in urls]


def pixels(images: list[Image.Image]) -> list[bytes]:
    return [image.tobytes() for image in images]
