"""The PyPI client `webuiapi` as it is published, against a real server."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import httpx2
import numpy as np
import pytest
import webuiapi
from PIL import Image, ImageDraw

from tests.clients.replayed import native, opened, pixels
from tests.conftest import Server
from tests.unit.images.pictures import saved

CLIENT = "webuiapi"
VERSION = version("webuiapi")
SMALL: dict[str, Any] = {"prompt": "red apple", "width": 64, "height": 64, "steps": 4, "seed": 7}
SAME: dict[str, Any] = {**SMALL, "guidance_scale": 7.0, "scheduler": "euler-a"}


def api_of(server: Server, user: str = "webuiapi") -> webuiapi.WebUIApi:
    """With a user name, so that its options are its own."""
    api = webuiapi.WebUIApi(host="localhost", port=server.port)
    api.session.trust_env = False
    api.set_auth(user, "any")
    return api


@pytest.fixture
def api(server: Server) -> Iterator[webuiapi.WebUIApi]:
    made = api_of(server)
    yield made
    made.set_options({"sd_model_checkpoint": None, "CLIP_stop_at_last_layers": None})


def coded(picture: Image.Image) -> str:
    return base64.b64encode(saved(picture)).decode()


@pytest.fixture(scope="module")
def apple(server: Server) -> Image.Image:
    return native(server, **SAME)[0]


@pytest.mark.calls("txt2img")
def test_an_image_equals_that_of_our_own_interface(api: webuiapi.WebUIApi, apple: Image.Image) -> None:
    drawn = api.txt2img(**SMALL)
    assert drawn.image.tobytes() == apple.tobytes()
    assert drawn.image.info["parameters"] == drawn.info["infotexts"][0]
    assert (drawn.info["seed"], drawn.info["sampler_name"], drawn.info["width"]) == (7, "Euler a", 64)
    assert drawn.parameters["steps"] == 4


@pytest.mark.calls("txt2img (n_iter × batch_size, <lora:…>)")
def test_a_batch_with_an_adapter_equals_that_of_our_own_interface(
    api: webuiapi.WebUIApi, server: Server
) -> None:
    prompt = "red apple <lora:ink-sketch:0.6>"
    drawn = api.txt2img(**SMALL | {"prompt": prompt}, n_iter=2, batch_size=2, negative_prompt="blurry")
    same = native(server, **SAME | {"prompt": prompt}, num_images=4, negative_prompt="blurry")
    assert pixels(drawn.images) == pixels(same)
    assert drawn.info["all_seeds"] == [7, 8, 9, 10]
    assert "<lora:ink-sketch:0.6>" in drawn.info["infotexts"][3]


@pytest.mark.calls("txt2img (enable_hr)")
def test_a_second_pass_equals_that_of_our_own_interface(api: webuiapi.WebUIApi, server: Server) -> None:
    drawn = api.txt2img(**SMALL, enable_hr=True, hr_scale=1.5, denoising_strength=0.5)
    hires = {"scale": 1.5, "steps": 8, "strength": 0.5, "upscaler": "latent"}
    assert drawn.image.size == (96, 96)
    assert pixels(drawn.images) == pixels(native(server, **SAME, hires=hires))


@pytest.mark.calls("img2img")
def test_a_picture_from_a_picture_equals_that_of_our_own_interface(
    api: webuiapi.WebUIApi, server: Server, apple: Image.Image
) -> None:
    drawn = api.img2img(images=[apple], **SMALL | {"prompt": "dog"}, denoising_strength=0.6)
    same = native(server, **SAME | {"prompt": "dog"}, init_image=coded(apple), strength=0.6, resize="stretch")
    assert pixels(drawn.images) == pixels(same)


@pytest.mark.calls("img2img (mask_image, inpainting_mask_invert)")
@pytest.mark.parametrize("invert", [0, 1])
def test_inpainting_draws_where_the_mask_says(
    invert: int, api: webuiapi.WebUIApi, apple: Image.Image
) -> None:
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).rectangle((0, 0, 31, 63), fill="white")
    drawn = api.img2img(images=[apple], mask_image=mask, mask_blur=0, inpainting_mask_invert=invert, **SMALL)
    before, after = np.asarray(apple), np.asarray(drawn.image)
    halves = [slice(0, 32), slice(32, 64)]
    anew, kept = reversed(halves) if invert else halves
    assert (after[:, kept] == before[:, kept]).all()
    assert (after[:, anew] != before[:, anew]).any()
    assert len(drawn.info["notes"]) == 2


@pytest.mark.calls("set_options", "get_options", "util_set_model", "util_get_current_model")
def test_a_model_is_switched_for_this_client_alone(
    api: webuiapi.WebUIApi, server: Server, apple: Image.Image
) -> None:
    other = api_of(server, "another")
    api.util_set_model("pony")
    assert api.util_get_current_model().startswith("pony-xl-v6.safetensors")
    assert other.get_options()["sd_model_checkpoint"].startswith("sdxl-base.safetensors")
    mine, theirs = api.txt2img(**SMALL), other.txt2img(**SMALL)
    assert pixels(mine.images) == pixels(native(server, **SAME, model="pony-xl-v6"))
    assert theirs.image.tobytes() == apple.tobytes()
    title = next(name for name in api.util_get_model_names() if name.startswith("sdxl-base"))
    back = api.txt2img(**SMALL, override_settings={"sd_model_checkpoint": title})
    assert back.image.tobytes() == apple.tobytes()
    assert api.util_get_current_model().startswith("pony-xl-v6")


@pytest.mark.calls("get_progress", "interrupt", "util_wait_for_ready")
def test_a_request_is_followed_and_interrupted_from_another_thread(
    api: webuiapi.WebUIApi, server: Server
) -> None:
    drawn: list[Any] = []
    long = {"prompt": "red apple", "width": 128, "height": 128, "steps": 150, "n_iter": 16}
    thread = threading.Thread(target=lambda: drawn.append(api_of(server).txt2img(**long)))
    thread.start()

    def under_way() -> Any:
        told = api.get_progress()
        return told if told["state"]["sampling_step"] and told["current_image"] else None

    told = server.wait_until(under_way, "drawing")
    assert (told["state"]["job_count"], told["state"]["sampling_steps"]) == (16, 150)
    assert 0 < told["progress"] < 1
    assert opened(told["current_image"]).format == "PNG"
    assert api_of(server, "another").get_progress()["state"]["job_count"] == 0
    assert api_of(server, "another").interrupt() == {}
    assert api.interrupt() == {}
    thread.join(60)
    assert drawn[0].images == []
    assert drawn[0].info["infotexts"] == []
    api.util_wait_for_ready(check_interval=0.1)


@pytest.mark.calls("skip")
def test_skip_without_a_request_does_nothing(api: webuiapi.WebUIApi) -> None:
    assert api.skip() is None


@pytest.mark.calls("png_info")
def test_a_picture_tells_its_parameters(api: webuiapi.WebUIApi, apple: Image.Image) -> None:
    told = api.png_info(apple)
    assert told.info == apple.info["parameters"]
    assert told.parameters.items() >= {"Prompt": "red apple", "Seed": "7", "Size-1": "64"}.items()


@pytest.mark.calls(
    *("get_sd_models", "get_samplers", "get_schedulers", "get_loras", "get_sd_vae", "get_upscalers"),
    *("get_latent_upscale_modes", "get_prompt_styles", "get_embeddings", "get_memory", "get_cmd_flags"),
    *("get_scripts", "get_hypernetworks", "get_face_restorers", "get_realesrgan_models"),
    *("refresh_checkpoints", "util_get_sampler_names", "util_get_scheduler_names"),
)
def test_the_lists_are_read(api: webuiapi.WebUIApi) -> None:
    assert [model["model_name"] for model in api.get_sd_models()] == ["sdxl-base", "pony-xl-v6"]
    assert {"Euler a", "DPM++ 2M", "DDIM"} <= set(api.util_get_sampler_names())
    assert {sampler["name"] for sampler in api.get_samplers()} == set(api.util_get_sampler_names())
    assert {"automatic", "karras"} <= set(api.util_get_scheduler_names())
    assert {"ink-sketch", "style-anime"} <= {lora["name"] for lora in api.get_loras()}
    assert [upscaler["name"] for upscaler in api.get_upscalers()] == ["None", "Lanczos"]
    assert api.get_latent_upscale_modes() == [{"name": "Latent"}]
    assert set(api.get_embeddings()) == {"loaded", "skipped"}
    assert api.get_memory()["ram"]["total"] > 0
    assert api.get_cmd_flags()["api"] is True
    assert api.get_scripts() == {"txt2img": [], "img2img": []}
    empty = (
        *(api.get_sd_vae, api.get_prompt_styles, api.get_hypernetworks, api.get_face_restorers),
        api.get_realesrgan_models,
    )
    assert [ask() for ask in empty] == [[]] * 5
    assert api.refresh_checkpoints() is None


@pytest.mark.calls("extra_single_image", "extra_batch_images", "interrogate")
def test_what_is_not_here_raises_with_the_reason(api: webuiapi.WebUIApi, apple: Image.Image) -> None:
    refused = (
        lambda: api.extra_single_image(apple),
        lambda: api.extra_batch_images([apple]),
        lambda: api.interrogate(apple),
        lambda: api.txt2img(**SMALL, sampler_name="nope"),
        lambda: api.txt2img(**SMALL | {"prompt": "apple <lora:nope:1>"}),
        lambda: api.txt2img(**SMALL, adetailer=[webuiapi.ADetailer()]),
        lambda: api.txt2img(**SMALL, enable_hr=True, hr_upscaler=webuiapi.HiResUpscaler.ESRGAN_4x),
    )
    for ask in refused:
        with pytest.raises(RuntimeError, match=r"not-built-yet|unknown-|invalid-request"):
            ask()


@pytest.mark.calls("txt2img (a client that leaves)")
def test_a_client_that_leaves_stops_its_job(server: Server) -> None:
    body = {"prompt": "red apple", "width": 128, "height": 128, "steps": 150, "n_iter": 16}
    with pytest.raises(httpx2.ReadTimeout):
        server.client.post("/sdapi/v1/txt2img", json=body, timeout=1)
    newest = server.client.get("/jobs?limit=1").json()["jobs"][0]
    assert newest["request"]["num_images"] == 16
    server.wait_for(newest["id"], "cancelled")
