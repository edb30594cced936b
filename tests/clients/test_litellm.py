"""LiteLLM, replayed: generation through the OpenAI SDK with its `extra_body`, editing by a form of its own.

From `litellm/llms/openai/openai.py` and `litellm/llms/openai/image_edit/transformation.py`.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from openai import OpenAI
from PIL import Image

from tests.conftest import Server

CLIENT = "LiteLLM, `openai/` models (replayed)"
VERSION = "commit 078686d"
APPLE = Path(__file__).parents[1] / "data" / "emoji" / "red-apple.png"


@pytest.mark.calls("POST /v1/images/generations")
def test_its_generation_keeps_what_it_passes_on(server: Server) -> None:
    with OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=2) as client:
        answer = client.images.generate(
            model="pony-xl-v6",
            prompt="pony",
            n=1,
            quality="standard",
            user="42",
            extra_body={"seed": 7, "steps": 4},
            timeout=600.0,
        ).model_dump()
    assert answer["ecurie"]["model"] == "pony-xl-v6"
    assert answer["data"][0]["seed"] == 7
    assert answer["usage"]["input_tokens"] > 0


@pytest.mark.calls("POST /v1/images/edits")
def test_its_edit_is_answered_with_base64(server: Server) -> None:
    fields = {"model": "sdxl-base", "prompt": "dog", "n": "1", "response_format": "b64_json", "steps": "4"}
    files = [("image[]", ("image.png", APPLE.read_bytes(), "image/png"))]
    answer = server.client.post("/v1/images/edits", data=fields, files=files)
    assert answer.status_code == 200, answer.text
    content = base64.b64decode(answer.json()["data"][0]["b64_json"])
    assert Image.open(io.BytesIO(content)).size == (64, 64)
