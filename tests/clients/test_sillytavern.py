"""SillyTavern's image generation through the web UI's API, replayed: its requests, and what it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.clients.replayed import bodies_of, native, opened, pixels
from tests.conftest import Server

CLIENT = "SillyTavern (replayed)"
BODIES = bodies_of("sillytavern")
VERSION = BODIES["source"].partition(" at ")[2].partition(";")[0]
# On the wire, and for our test client, the space at the end is none.
HEADERS = {name: value.strip() for name, value in BODIES["headers"].items()}


@pytest.fixture
def server_of_its_own(server: Server) -> Iterator[Server]:
    yield server
    server.client.post("/sdapi/v1/options", json={"sd_model_checkpoint": None}, headers=HEADERS)


def get(server: Server, name: str) -> Any:
    return server.client.get(f"/sdapi/v1/{name}", headers=HEADERS).raise_for_status().json()


@pytest.mark.calls(
    *("GET /sdapi/v1/options", "GET /sdapi/v1/upscalers", "GET /sdapi/v1/latent-upscale-modes"),
    *("GET /sdapi/v1/sd-vae", "GET /sdapi/v1/sd-modules", "GET /sdapi/v1/samplers"),
    *("GET /sdapi/v1/schedulers", "GET /sdapi/v1/sd-models"),
)
def test_its_settings_are_filled(server: Server) -> None:
    """It always sends `Authorization: Basic`, also an empty one."""
    assert "forge_preset" not in get(server, "options")
    upscalers = [one["name"] for one in get(server, "upscalers")]
    upscalers[1:1] = [one["name"] for one in get(server, "latent-upscale-modes")]
    assert upscalers == ["None", "Latent", "Lanczos"]
    assert [one["model_name"] for one in get(server, "sd-vae") + get(server, "sd-modules")] == []
    assert "DDIM" in [one["name"] for one in get(server, "samplers")]
    assert "karras" in [one["name"] for one in get(server, "schedulers")]
    assert all(one["title"] for one in get(server, "sd-models"))


@pytest.mark.calls("GET /sdapi/v1/options (an empty Basic header)")
def test_its_empty_credentials_are_none(server: Server) -> None:
    connection = HTTPConnection("localhost", server.port, timeout=60)
    connection.request("GET", "/sdapi/v1/options", headers=BODIES["headers"])
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, get(server, "options"))
    connection.close()


@pytest.mark.calls("POST /sdapi/v1/options", "GET /sdapi/v1/progress")
def test_a_model_is_chosen_and_ready_at_once(server_of_its_own: Server) -> None:
    server = server_of_its_own
    title = next(one["title"] for one in get(server, "sd-models") if one["model_name"] == "pony-xl-v6")
    server.client.post(
        "/sdapi/v1/options", json={"sd_model_checkpoint": title}, headers=HEADERS
    ).raise_for_status()
    told = get(server, "progress")
    assert (told["progress"], told["state"]["job_count"]) == (0, 0)
    assert get(server, "options")["sd_model_checkpoint"] == title


@pytest.mark.calls("POST /sdapi/v1/txt2img")
def test_a_picture_equals_that_of_our_own_interface(server: Server) -> None:
    told = server.client.post("/sdapi/v1/txt2img", json=BODIES["txt2img"], headers=HEADERS).json()
    seed = json.loads(told["info"])["seed"]
    same = native(
        server, prompt="red apple, best quality", negative_prompt="lowres, bad anatomy", steps=4,
        guidance_scale=7.0, width=64, height=64, scheduler="ddim", clip_skip=1, seed=seed,
    )  # fmt: skip
    assert pixels([opened(told["images"][0])]) == pixels(same)


@pytest.mark.calls("POST /sdapi/v1/txt2img (enable_hr)", "POST /sdapi/v1/txt2img (ADetailer, refused)")
def test_its_second_pass_is_drawn_and_its_detailer_refused(server: Server) -> None:
    body = BODIES["txt2img"] | {"enable_hr": True, "hr_scale": 1.5, "hr_second_pass_steps": 2, "seed": 7}
    told = server.client.post("/sdapi/v1/txt2img", json=body, headers=HEADERS).json()
    assert opened(told["images"][0]).size == (96, 96)
    detailer = {"ADetailer": {"args": [True, True, {"ad_model": "face_yolov8n.pt"}]}}
    answer = server.client.post(
        "/sdapi/v1/txt2img", json=body | {"alwayson_scripts": detailer}, headers=HEADERS
    )
    assert answer.status_code == 422
    assert "ADetailer not found" in answer.text


@pytest.mark.calls("POST /sdapi/v1/interrupt")
def test_an_abort_interrupts_nothing_when_nothing_runs(server: Server) -> None:
    assert server.client.post("/sdapi/v1/interrupt", headers=HEADERS).json() == {}
