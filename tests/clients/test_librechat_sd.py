"""LibreChat's Stable Diffusion tool, replayed: its one request, and what it reads of the answer."""

from __future__ import annotations

import json

import pytest

from tests.clients.replayed import bodies_of, native, opened, pixels
from tests.conftest import Server

CLIENT = "LibreChat (Stable Diffusion tool, replayed)"
BODIES = bodies_of("librechat")
VERSION = BODIES["source"].rpartition(" ")[2]
BODY = BODIES["txt2img"]


@pytest.mark.calls("POST /sdapi/v1/txt2img")
def test_a_picture_equals_that_of_our_own_interface(server: Server) -> None:
    """Smaller than it asks for: of 1024 pixels the demo model has never heard."""
    told = server.client.post("/sdapi/v1/txt2img", json=BODY | {"width": 64, "height": 64}).json()
    info = json.loads(told["info"])
    same = native(
        server, prompt=BODY["prompt"], negative_prompt=BODY["negative_prompt"], steps=22,
        guidance_scale=4.5, width=64, height=64, scheduler="euler", seed=info["seed"],
    )  # fmt: skip
    assert pixels([opened(told["images"][0])]) == pixels(same)
    settings = info["infotexts"][0].split("\n").pop()
    assert settings.startswith("Steps: 22, Sampler: Euler")
    assert (info["width"], info["height"]) == (64, 64)
