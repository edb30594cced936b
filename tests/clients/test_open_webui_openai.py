"""Open WebUI with its OpenAI engine, replayed: what it sends, and what it reads of the answer.

From `backend/open_webui/routers/images.py` (`image_generations`, `image_edits`, `get_image_data`).
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Server

CLIENT = "Open WebUI, OpenAI engine (replayed)"
VERSION = "commit 02530d5"
APPLE = Path(__file__).parents[1] / "data" / "emoji" / "red-apple.png"
HEADERS = {"authorization": "Bearer any"}


def images_of(answer: dict[str, Any]) -> list[Image.Image]:
    """It takes a `url` before anything else, and refuses those of private networks."""
    assert not any(image.get("url") for image in answer["data"])
    return [Image.open(io.BytesIO(base64.b64decode(image["b64_json"]))) for image in answer["data"]]


@pytest.mark.calls("POST /v1/images/generations")
@pytest.mark.parametrize(
    "chosen",
    [
        # Without a model it takes this one.
        {"model": "dall-e-2", "size": "64x64", "response_format": "b64_json"},
        {"model": "gpt-image-1.5", "size": "auto"},
        # The settings' "additional parameters" are merged into the body.
        {"model": "sdxl-base", "size": "96x96", "response_format": "b64_json", "steps": 4, "seed": 7},
    ],
    ids=lambda chosen: chosen["model"],
)
def test_its_generation_is_answered_with_base64(server: Server, chosen: dict[str, Any]) -> None:
    body = {"prompt": "red apple", "n": 1, **chosen}
    url = "/v1/images/generations?api-version=2025-04-01"
    answer = server.client.post(url, json=body, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    (image,) = images_of(answer.json())
    assert "x".join(map(str, image.size)) == ("64x64" if chosen["size"] == "auto" else chosen["size"])


@pytest.mark.calls("POST /v1/images/edits")
@pytest.mark.parametrize("name", ["image", "image[]"])
def test_its_edit_is_answered_with_base64(server: Server, name: str) -> None:
    fields = {"model": "gpt-image-1", "prompt": "dog", "n": "1", "size": "64x64"}
    files = [(name, ("6d0a.png", APPLE.read_bytes(), "image/png"))]
    answer = server.client.post("/v1/images/edits", data=fields, files=files, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    (image,) = images_of(answer.json())
    assert image.size == (64, 64)
