"""LibreChat's image tools, replayed: what they send, and what they read of the answer.

From `api/app/clients/tools/structured/OpenAIImageTools.js`: the SDK generates, a form edits.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Server

CLIENT = "LibreChat, image tools (replayed)"
VERSION = "commit 8731432"
APPLE = Path(__file__).parents[1] / "data" / "emoji" / "red-apple.png"
HEADERS = {"authorization": "Bearer any"}


def image_of(answer: dict) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))


@pytest.mark.calls("POST /v1/images/generations")
@pytest.mark.parametrize("output_format", ["png", "webp"])
def test_its_generation_is_answered_with_base64(server: Server, output_format: str) -> None:
    body = {
        "model": "gpt-image-1",
        "prompt": "red apple",
        "n": 1,
        "background": "auto",
        "output_format": output_format,
        "quality": "auto",
        "size": "auto",
    }
    if output_format == "webp":
        body["output_compression"] = 100
    answer = server.client.post("/v1/images/generations", json=body, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    assert image_of(answer.json()).format == output_format.upper()


@pytest.mark.calls("POST /v1/images/generations")
def test_a_transparent_background_is_refused_with_a_message_for_the_model(server: Server) -> None:
    body = {
        "model": "gpt-image-1",
        "prompt": "red apple",
        "n": 1,
        "background": "transparent",
        "size": "auto",
    }
    answer = server.client.post("/v1/images/generations", json=body, headers=HEADERS)
    assert answer.status_code == 400
    assert "opaque" in answer.json()["error"]["message"]


@pytest.mark.calls("POST /v1/images/edits")
def test_its_edit_is_answered_with_base64(server: Server) -> None:
    fields = {"model": "gpt-image-1", "prompt": "dog", "quality": "low", "size": "auto"}
    files = [("image[]", ("apple.png", APPLE.read_bytes(), "image/png"))]
    answer = server.client.post("/v1/images/edits", data=fields, files=files, headers=HEADERS)
    assert answer.status_code == 200, answer.text
    assert image_of(answer.json()).size == (64, 64)
