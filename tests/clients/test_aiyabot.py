"""The Discord bot AIYA, replayed: its requests at the start and for a picture."""

from __future__ import annotations

import base64

import pytest

from tests.clients.replayed import bodies_of, native, opened, pixels
from tests.conftest import Server
from tests.unit.images.pictures import plain, saved

CLIENT = "aiyabot (Discord, replayed)"
BODIES = bodies_of("aiyabot")
VERSION = BODIES["source"].partition(" at ")[2].partition(" ")[0]


@pytest.mark.calls("GET /sdapi/v1/cmd-flags", *(f"GET /sdapi/v1/{name}" for name in BODIES["lists"]))
def test_its_lists_are_filled_at_the_start(server: Server) -> None:
    assert server.client.get("/sdapi/v1/cmd-flags").status_code == 200
    told = {name: server.client.get(f"/sdapi/v1/{name}").json() for name in BODIES["lists"]}
    assert "Euler a" in [sampler["name"] for sampler in told["samplers"]]
    assert set(told["embeddings"]) == {"loaded", "skipped"}
    for model in told["sd-models"]:
        assert {"filename", "model_name", "title", "hash"} <= set(model)


@pytest.mark.calls("POST /sdapi/v1/txt2img", "POST /sdapi/v1/png-info")
def test_a_picture_and_its_parameters(server: Server) -> None:
    told = server.client.post("/sdapi/v1/txt2img", json=BODIES["txt2img"]).json()
    same = native(
        server, prompt="red apple", steps=4, guidance_scale=7.0, width=192, height=192, seed=7,
        scheduler="euler-a", clip_skip=1,
    )  # fmt: skip
    assert pixels([opened(told["images"][0])]) == pixels(same)
    sent = {"image": f"data:image/png;base64,{told['images'][0]}"}
    info = server.client.post("/sdapi/v1/png-info", json=sent).json()["info"]
    assert info.startswith("red apple\nSteps: 4")


@pytest.mark.calls("POST /sdapi/v1/img2img")
def test_a_picture_from_a_picture(server: Server) -> None:
    image = base64.b64encode(saved(plain(100, 80))).decode()
    body = BODIES["img2img"] | {"init_images": [f"data:image/png;base64,{image}"]}
    told = server.client.post("/sdapi/v1/img2img", json=body).json()
    assert opened(told["images"][0]).size == (192, 192)
