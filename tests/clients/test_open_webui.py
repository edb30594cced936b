"""Open WebUI's AUTOMATIC1111 engine, replayed: its requests, and what it reads of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.replayed import bodies_of, native, opened, pixels
from tests.conftest import Server

CLIENT = "Open WebUI (AUTOMATIC1111 engine, replayed)"
BODIES = bodies_of("open_webui")
VERSION = BODIES["source"].rpartition(" ")[2]
# On the wire, and for our test client, the space at the end is none.
HEADERS = {name: value.strip() for name, value in BODIES["headers"].items()}


@pytest.fixture
def server_of_its_own(server: Server) -> Iterator[Server]:
    yield server
    server.client.post("/sdapi/v1/options", json={"sd_model_checkpoint": None}, headers=HEADERS)


def options(server: Server) -> dict[str, Any]:
    answer = server.client.get("/sdapi/v1/options", headers=HEADERS)
    told: dict[str, Any] = answer.raise_for_status().json()
    return told


@pytest.mark.calls("GET /sdapi/v1/options", "GET /sdapi/v1/sd-models", "POST /sdapi/v1/txt2img")
def test_images_are_drawn_from_a_chat(server_of_its_own: Server) -> None:
    server = server_of_its_own
    assert options(server)["sd_model_checkpoint"].startswith("sdxl-base")
    models = server.client.get("/sdapi/v1/sd-models", headers=HEADERS).json()
    assert all(model["title"] and model["model_name"] for model in models)
    told = server.client.post("/sdapi/v1/txt2img", json=BODIES["txt2img"], headers=HEADERS).json()
    info = json.loads(told["info"])
    same = native(
        server, prompt="red apple", negative_prompt="blurry", steps=4, width=64, height=64,
        guidance_scale=7.0, scheduler="euler", num_images=2, seed=info["seed"],
    )  # fmt: skip
    assert pixels([opened(image) for image in told["images"]]) == pixels(same)


@pytest.mark.calls("POST /sdapi/v1/options (the whole object)", "POST /sdapi/v1/txt2img (with parameters)")
def test_an_admin_s_model_holds_for_the_next_requests(server_of_its_own: Server) -> None:
    """It reads all options, changes one and sends all of them back."""
    server = server_of_its_own
    models = server.client.get("/sdapi/v1/sd-models", headers=HEADERS).json()
    pony = next(model["title"] for model in models if model["model_name"] == "pony-xl-v6")
    whole = options(server) | {"sd_model_checkpoint": pony}
    server.client.post("/sdapi/v1/options", json=whole, headers=HEADERS).raise_for_status()
    assert options(server)["sd_model_checkpoint"].startswith("pony-xl-v6")
    body = BODIES["txt2img_with_params"]
    told = server.client.post("/sdapi/v1/txt2img", json=body, headers=HEADERS).json()
    same = native(
        server, model="pony-xl-v6", prompt="red apple", steps=4, width=64, height=64, seed=7,
        guidance_scale=5.0, scheduler="dpmpp-2m-karras",
    )  # fmt: skip
    assert pixels([opened(image) for image in told["images"]]) == pixels(same)


@pytest.mark.calls("POST /sdapi/v1/txt2img (refused)")
def test_a_refusal_has_no_images_for_it_to_read(server: Server) -> None:
    body = BODIES["txt2img"] | {"width": 4096, "height": 4096}
    told = server.client.post("/sdapi/v1/txt2img", json=body, headers=HEADERS).json()
    assert "images" not in told
    assert "pixels" in told["detail"]
