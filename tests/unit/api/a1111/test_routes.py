"""Drawing through `/sdapi/v1/…`, with a worker that paints."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from httpx2 import Response
from PIL import Image
from starlette.testclient import TestClient

from ecurie.domain import Job, JobFailure, JobState, Preview, Progress
from ecurie.errors import JobCancelled
from ecurie.jobs.claims import Claim
from ecurie.service import Service
from tests.clients.replayed import bodies_of
from tests.unit.api.a1111.conftest import SECONDS, paint, take
from tests.unit.images.pictures import plain, saved

Ask = Callable[..., "Future[Response]"]
PICTURE = base64.b64encode(saved(plain(64, 64))).decode()
KEYS_OF_INFO = {
    *("prompt", "all_prompts", "negative_prompt", "seed", "all_seeds", "subseed", "width", "height"),
    *("sampler_name", "cfg_scale", "steps", "batch_size", "sd_model_name", "sd_model_hash", "sd_vae_name"),
    *("extra_generation_params", "index_of_first_image", "infotexts", "styles", "job_timestamp"),
    *("clip_skip", "version"),
}


def draw(client: TestClient, path: str = "txt2img", **body: Any) -> dict[str, Any]:
    answer = client.post(f"/sdapi/v1/{path}", json={"prompt": "red apple", **body})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    assert set(told) == {"images", "parameters", "info"}
    assert set(json.loads(told["info"])) >= KEYS_OF_INFO
    return told


def opened(image: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(image, validate=True)))


def test_an_image_comes_with_what_clients_read(client: TestClient, painter: list[Claim]) -> None:
    told = draw(client, seed=7, width=128, height=64, steps=3, negative_prompt="blurry", cfg_scale=4.5)
    info = json.loads(told["info"])
    (image,) = map(opened, told["images"])
    assert (image.format, image.size, image.info["parameters"]) == ("PNG", (128, 64), info["infotexts"][0])
    assert info["infotexts"][0].splitlines()[1] == "Negative prompt: blurry"
    assert info["infotexts"][0].splitlines()[2].startswith("Steps: 3, Sampler: Euler, Schedule type: Uniform")
    assert (info["seed"], info["all_seeds"], info["width"], info["height"]) == (7, [7], 128, 64)
    assert (info["sampler_name"], info["cfg_scale"], info["sd_model_name"]) == ("Euler", 4.5, "base")
    assert (told["parameters"]["steps"], told["parameters"]["n_iter"]) == (3, 1)


def test_many_images_are_several_jobs_and_one_answer(client: TestClient, painter: list[Claim]) -> None:
    told = draw(client, seed=250, n_iter=5, batch_size=4, width=64, height=64)
    assert [claim.job.request.num_images for claim in painter] == [16, 4]
    assert json.loads(told["info"])["all_seeds"] == list(range(250, 270))
    painted = [opened(image).getpixel((0, 0)) for image in told["images"]]
    assert painted == [(seed % 256, 0, 0) for seed in range(250, 270)]


def test_images_are_kept_whether_they_are_sent_or_not(client: TestClient, painter: list[Claim]) -> None:
    told = draw(client, seed=3, send_images=False, save_images=False, width=64, height=64)
    assert (told["images"], json.loads(told["info"])["all_seeds"]) == ([], [3])
    (image,) = client.get("/jobs").json()["jobs"][0]["result"]["images"]
    assert client.get(image["url"]).status_code == 200


def test_images_come_in_the_format_that_is_chosen(client: TestClient, painter: list[Claim]) -> None:
    override = {"samples_format": "jpg", "jpeg_quality": 95}
    (image,) = draw(client, width=64, height=64, override_settings=override)["images"]
    assert (opened(image).format, painter[-1].job.request.quality) == ("JPEG", 95)


def test_pictures_are_sent_back_only_if_that_is_asked_for(client: TestClient, painter: list[Claim]) -> None:
    body: dict[str, Any] = {"init_images": [PICTURE], "width": 64, "height": 64, "steps": 4}
    quiet = draw(client, "img2img", **body)["parameters"]
    assert (quiet["init_images"], quiet["mask"]) == (None, None)
    assert draw(client, "img2img", **body, include_init_images=True)["parameters"]["init_images"] == [PICTURE]
    init = painter[-1].job.request.init
    assert init is not None
    assert (init.strength, init.resize) == (0.75, "stretch")


def test_what_is_not_followed_is_told_in_info(client: TestClient, painter: list[Claim]) -> None:
    mask = base64.b64encode(saved(plain(64, 64, "white"))).decode()
    body = {"init_images": [PICTURE], "mask": mask, "width": 64, "height": 64}
    told = draw(client, "img2img", **body, override_settings={"nope": float("1e300")})
    notes = json.loads(told["info"])["notes"]
    assert [note.partition(":")[0] for note in notes] == [
        "override_settings", "inpaint_full_res", "inpainting_fill"
    ]  # fmt: skip
    assert told["parameters"]["override_settings"] == {}


def test_a_prompt_s_adapters_are_in_the_stack(client: TestClient, painter: list[Claim]) -> None:
    prompt = "red apple <lora:ink:0.5:0.7>, <lora:style-anime:te=0.2:unet=0.4>"
    told = draw(client, prompt=prompt, width=64, height=64)
    stack = [(use.name, use.text_encoder, use.unet) for use in painter[-1].job.request.adapters]
    assert stack == [("ink", 0.5, 0.7), ("anime", 0.2, 0.4)]
    assert json.loads(told["info"])["prompt"] == prompt


def test_an_adapter_that_is_missing_is_an_error(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", json={"prompt": "x <lora:nope:1>"})
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown-adapter")
    assert "use one of: anime, ink" in answer.json()["detail"]
    assert client.get("/jobs").json()["jobs"] == []


@pytest.mark.parametrize(
    ("content", "status", "error"),
    [
        (b"{", 400, "malformed-body"),
        (b"[]", 422, "invalid-request"),
        (b'{"prompt": "x", "steps": NaN}', 422, "invalid-request"),
        (b'{"prompt": "x", "cfg_scale": 1e309}', 422, "invalid-request"),
        (b'{"prompt": "x", "n_iter": 0}', 422, "invalid-request"),
        (b'{"prompt": "\\ud800"}', 422, "invalid-request"),
        (b'{"prompt": "x", "force_task_id": "\\ud800"}', 422, "invalid-request"),
        (b'{"prompt": "x", "override_settings": {"\\ud800": 1}}', 422, "invalid-request"),
        (b'{"prompt": "x", "alwayson_scripts": {"\\ud800": 1}}', 422, "invalid-request"),
        (b'{"prompt": "x", "script_name": "<b>"}', 422, "invalid-request"),
        (b'{"prompt": "' + b"x" * 100_000 + b'"}', 413, "body-too-large"),
    ],
)
def test_errors_have_the_web_ui_s_shape(content: bytes, status: int, error: str, client: TestClient) -> None:
    answer = client.post("/sdapi/v1/txt2img", content=content, headers={"content-type": "application/json"})
    told = answer.json()
    assert (answer.status_code, told["error"]) == (status, error)
    assert (set(told), told["body"]) == ({"error", "detail", "body", "errors"}, "")
    assert answer.headers["content-type"] == "application/json"


def test_a_path_that_is_not_there_is_an_error_of_this_shape_too(client: TestClient) -> None:
    answer = client.post("/sdapi/v1/unload-checkpoint")
    assert (answer.status_code, set(answer.json())) == (404, {"error", "detail", "body", "errors"})


def test_a_failed_job_says_why(client: TestClient, service: Service, asking: Ask) -> None:
    waiting = asking("txt2img", n_iter=20)
    service.store.claims.fail(take(service), JobFailure("out-of-memory", "too large", "take fewer pixels"))
    answer = waiting.result(SECONDS)
    told = {
        "error": "out-of-memory",
        "detail": "too large; take fewer pixels",
        "body": "",
        "errors": "too large",
    }
    assert (answer.status_code, answer.json()) == (500, told)
    states = [job["state"] for job in client.get("/jobs").json()["jobs"]]
    assert sorted(states) == ["cancelled", "failed"]


def test_a_job_that_somebody_else_cancels_is_an_error(
    client: TestClient, service: Service, asking: Ask
) -> None:
    waiting = asking("txt2img")
    until_asked(client)
    (job,) = client.get("/jobs").json()["jobs"]
    client.delete(f"/jobs/{job['id']}")
    answer = waiting.result(SECONDS)
    assert (answer.status_code, answer.json()["error"]) == (500, "cancelled")


def until_asked(client: TestClient) -> dict[str, Any]:
    """What `progress` shows as soon as the request is known."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        told: dict[str, Any] = client.get("/sdapi/v1/progress").json()
        if told["state"]["job_count"]:
            return told
        time.sleep(0.01)
    raise AssertionError("no request is known")


def test_a_full_queue_takes_no_part_of_a_request(client: TestClient, service: Service) -> None:
    """serving.py allows ten jobs to wait."""
    answer = client.post("/sdapi/v1/img2img", json={"prompt": "x", "init_images": [PICTURE] * 11})
    assert (answer.status_code, answer.json()["error"]) == (429, "queue-full")
    assert "retry-after" in answer.headers
    assert service.store.counts()["queued"] == 0


def test_progress_shows_the_client_s_own_request(client: TestClient, service: Service, asking: Ask) -> None:
    idle = client.get("/sdapi/v1/progress").json()
    assert (idle["progress"], idle["state"]["job_count"], idle["current_image"]) == (0, 0, None)
    waiting = asking("txt2img", n_iter=2, steps=10, width=64, height=64, force_task_id="task(7)")
    queued = until_asked(client)
    assert (queued["progress"], queued["state"]["job_count"], queued["textinfo"]) == (
        0,
        2,
        "Queued, position 1",
    )
    task = client.post("/internal/progress", json={"id_task": "task(7)"}).json()
    assert (task["active"], task["queued"], task["completed"]) == (False, True, False)

    claim = take(service)
    preview = Preview(15, saved(plain(32, 32), "WEBP", lossless=True))
    service.store.claims.report(claim, Progress("denoising", 15, 20, preview=preview))
    seen = client.get("/sdapi/v1/progress").json()
    state = seen["state"]
    assert (seen["progress"], state["job_count"], state["job_no"]) == (0.75, 2, 1)
    assert (state["sampling_step"], state["sampling_steps"]) == (5, 10)
    assert (opened(seen["current_image"]).format, opened(seen["current_image"]).size) == ("PNG", (32, 32))
    assert client.get("/sdapi/v1/progress?skip_current_image=true").json()["current_image"] is None
    task = client.post("/internal/progress", json={"id_task": "task(7)", "live_preview": True}).json()
    assert (task["active"], task["progress"], task["id_live_preview"]) == (True, 0.75, 15)
    assert task["live_preview"].startswith("data:image/png;base64,")
    body = {"id_task": "task(7)", "id_live_preview": 15}
    assert client.post("/internal/progress", json=body).json()["live_preview"] is None

    stranger = {"authorization": f"Basic {base64.b64encode(b'bob:x').decode()}"}
    assert client.get("/sdapi/v1/progress", headers=stranger).json() == idle
    unknown = client.post("/internal/progress", json={"id_task": "task(7)"}, headers=stranger).json()
    assert (unknown["active"], unknown["queued"], unknown["completed"]) == (False, False, False)
    paint(service, claim)
    assert waiting.result(SECONDS).status_code == 200
    assert client.get("/sdapi/v1/progress").json() == idle
    assert client.post("/internal/progress", json={"id_task": "task(7)"}).json()["completed"] is True


def end_cancelled(service: Service, claim: Claim) -> None:
    """As a worker does that has read the flag."""
    with pytest.raises(JobCancelled):
        service.store.claims.check(claim)
    service.store.claims.end_cancelled(claim)


def test_interrupt_stops_the_client_s_request_and_gives_what_is_finished(
    client: TestClient, service: Service, asking: Ask
) -> None:
    body: dict[str, Any] = {"init_images": [PICTURE] * 3, "width": 64, "height": 64, "seed": 7}
    waiting = asking("img2img", **body)
    until_asked(client)
    paint(service, take(service))
    claim = take(service)
    stranger = {"authorization": f"Basic {base64.b64encode(b'bob:x').decode()}"}
    client.post("/sdapi/v1/interrupt", headers=stranger)
    service.store.claims.check(claim)
    assert client.post("/sdapi/v1/interrupt").json() == {}
    assert client.get("/sdapi/v1/progress").json()["state"]["interrupted"] is True
    end_cancelled(service, claim)
    told = waiting.result(SECONDS).json()
    assert len(told["images"]) == 1
    assert json.loads(told["info"])["all_seeds"] == [7]
    states = sorted(job["state"] for job in client.get("/jobs").json()["jobs"])
    assert states == ["cancelled", "cancelled", "succeeded"]
    assert client.post("/sdapi/v1/interrupt").json() == {}


def test_interrupt_of_the_only_job_gives_no_image(client: TestClient, service: Service, asking: Ask) -> None:
    waiting = asking("txt2img", seed=7, width=64, height=64)
    until_asked(client)
    client.post("/sdapi/v1/interrupt")
    answer = waiting.result(SECONDS)
    assert (answer.status_code, answer.json()["images"]) == (200, [])
    info = json.loads(answer.json()["info"])
    assert set(info) >= KEYS_OF_INFO
    assert (info["seed"], info["infotexts"], info["sampler_name"]) == (7, [], "Euler")


def test_interrupt_leaves_jobs_of_other_interfaces_alone(client: TestClient, service: Service) -> None:
    job = client.post("/generate", json={"prompt": "red apple"}).json()
    take(service)
    client.post("/sdapi/v1/interrupt")
    client.post("/sdapi/v1/skip")
    kept: Job = service.store.get(job["id"])
    assert kept.state is JobState.PREPARING
    service.store.claims.check(Claim(kept, "painter", 1))


def test_skip_goes_on_with_the_next_job(client: TestClient, service: Service, asking: Ask) -> None:
    waiting = asking("img2img", init_images=[PICTURE] * 2, width=64, height=64, seed=7)
    until_asked(client)
    claim = take(service)
    assert client.post("/sdapi/v1/skip").json() is None
    end_cancelled(service, claim)
    paint(service, take(service))
    assert json.loads(waiting.result(SECONDS).json()["info"])["all_seeds"] == [8]


def test_a_picture_tells_how_it_was_made(client: TestClient, painter: list[Claim]) -> None:
    (image,) = draw(client, seed=7, width=64, height=64, enable_hr=True, hr_resize_x=96)["images"]
    told = client.post("/sdapi/v1/png-info", json={"image": f"data:image/png;base64,{image}"}).json()
    assert told["info"] == opened(image).info["parameters"]
    assert told["parameters"].items() >= {"Prompt": "red apple", "Seed": "7", "Size-1": "64"}.items()
    assert set(told["items"]) == {"ecurie"}
    empty = client.post("/sdapi/v1/png-info", json={"image": PICTURE}).json()
    assert empty == {"info": "", "items": {}, "parameters": {}}
    answer = client.post("/sdapi/v1/png-info", json={"image": base64.b64encode(b"no picture").decode()})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid-request")


@pytest.mark.parametrize("path", ["extra-single-image", "extra-batch-images", "interrogate"])
def test_what_is_not_here_is_refused_with_a_reason(path: str, client: TestClient) -> None:
    answer = client.post(f"/sdapi/v1/{path}", json={"image": PICTURE * 50})
    assert (answer.status_code, answer.json()["error"]) == (422, "not-built-yet")


def test_the_lists_are_those_of_the_catalogue(client: TestClient) -> None:
    def get(path: str) -> Any:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    (ink,) = (lora for lora in get("/sdapi/v1/loras") if lora["name"] == "ink")
    assert (ink["alias"], ink["path"]) == ("ink-sketch", "ink-sketch.safetensors")
    assert ink["metadata"]["ss_output_name"] == "ink-sketch"
    assert [model["model_name"] for model in get("/sdapi/v1/sd-models")] == ["base", "pony"]
    assert [one["name"] for one in get("/sdapi/v1/upscalers")] == ["None", "Lanczos"]
    assert get("/sdapi/v1/latent-upscale-modes") == [{"name": "Latent"}]
    assert get("/sdapi/v1/scripts") == {"txt2img": [], "img2img": []}
    for name in (
        *("sd-vae", "sd-modules", "hypernetworks", "prompt-styles", "face-restorers", "script-info"),
        *("realesrgan-models", "extensions"),
    ):
        assert get(f"/sdapi/v1/{name}") == []
    for name in ("refresh-checkpoints", "refresh-loras", "refresh-vae", "refresh-embeddings"):
        assert client.post(f"/sdapi/v1/{name}").json() is None
    memory = get("/sdapi/v1/memory")
    assert memory["ram"]["free"] + memory["ram"]["used"] == memory["ram"]["total"]
    assert get("/sdapi/v1/cmd-flags")["api"] is True
    assert get("/internal/ping") == {}
    assert get("/app_id") == get("/app_id")


def test_the_routes_are_described_under_one_tag(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    ours = [path for path in paths if path.startswith(("/sdapi/", "/internal/", "/app_id"))]
    assert len(ours) > 30
    for path in ours:
        for operation in paths[path].values():
            assert operation["tags"] == ["AUTOMATIC1111"]
            assert "application/problem+json" not in str(operation)


def test_librechat_s_request_is_taken_as_it_is(client: TestClient, painter: list[Claim]) -> None:
    body = bodies_of("librechat")["txt2img"]
    told = draw(client, **body)
    request = painter[-1].job.request
    assert (request.width, request.height, request.steps, request.guidance_scale) == (1024, 1024, 22, 4.5)
    info = json.loads(told["info"])
    assert (info["width"], info["height"]) == opened(told["images"][0]).size == (1024, 1024)


def test_a_server_that_stops_says_so_and_keeps_the_job(client: TestClient, asking: Ask) -> None:
    waiting = asking("txt2img")
    until_asked(client)
    client.app.state.stopping = lambda: True  # type: ignore[attr-defined]
    answer = waiting.result(SECONDS)
    assert (answer.status_code, answer.json()["error"]) == (503, "not-ready")
    (job,) = client.get("/jobs").json()["jobs"]
    assert job["state"] == "queued"
    assert job["id"] in answer.json()["detail"]
