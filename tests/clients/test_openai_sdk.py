"""The OpenAI SDK as it is published, against a real server."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import ImagesResponse
from PIL import Image, ImageDraw

from tests.conftest import Server, StartServer
from tests.unit.images.pictures import saved

CLIENT = "openai (Python SDK)"
VERSION = version("openai")
APPLE = Path(__file__).parents[1] / "data" / "emoji" / "red-apple.png"
CAT = Path(__file__).parents[2] / "docs" / "pictures" / "start.png"
QUICK: dict[str, Any] = {"steps": 4, "seed": 7}


@pytest.fixture
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="any", timeout=120) as made:
        yield made


def contents(answer: ImagesResponse) -> list[bytes]:
    assert answer.data is not None
    return [base64.b64decode(image.b64_json or "") for image in answer.data]


def native(server: Server, **body: Any) -> bytes:
    """The file that our own interface makes of a body."""
    job = server.client.post("/generate?wait=100", json=body).json()
    assert job["state"] == "succeeded", job
    return server.client.get(job["result"]["images"][0]["url"]).content


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.calls("models.list", "models.retrieve")
def test_models_are_listed_the_default_first(client: OpenAI) -> None:
    listed = list(client.models.list())
    assert [model.id for model in listed] == ["sdxl-base", "pony-xl-v6"]
    assert {model.object for model in listed} == {"model"}
    assert all(model.created > 1_600_000_000 for model in listed)
    assert client.models.retrieve("pony-xl-v6").id == "pony-xl-v6"
    assert client.models.retrieve("gpt-image-1").id == "sdxl-base"
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("nope")
    assert raised.value.code == "model_not_found"


@pytest.mark.calls("images.generate", "images.generate extra_body")
def test_an_adapter_in_extra_body_gives_the_image_of_our_own_interface(
    client: OpenAI, server: Server
) -> None:
    loras = [{"name": "style-anime", "weight": 0.8}]
    answer = client.images.generate(
        prompt="rocket", model="pony-xl-v6", extra_body=QUICK | {"loras": loras, "negative_prompt": "blurry"}
    )
    (made,) = contents(answer)
    body = {"prompt": "rocket", "model": "pony-xl-v6", "negative_prompt": "blurry", **QUICK}
    assert made == native(server, **body, loras=loras)
    assert opened(made).tobytes() != opened(native(server, **body)).tobytes()
    as_vllm = {"lora": {"lora_name": "style-anime", "scale": 0.8}, "num_inference_steps": 4, "seed": 7}
    again = client.images.generate(
        prompt="rocket", model="pony-xl-v6", extra_body=as_vllm | {"negative_prompt": "blurry"}
    )
    assert contents(again) == [made]


@pytest.mark.calls("images.generate")
def test_the_answer_tells_what_was_done(client: OpenAI, server: Server) -> None:
    body = {"prompt": "red apple", "loras": [{"name": "style-anime"}], "negative_prompt": "blurry", **QUICK}
    raw = client.images.with_raw_response.generate(prompt="red apple", extra_body=body)
    answer = raw.parse()
    assert answer.data is not None
    assert answer.data[0].revised_prompt == "red apple, anime style, detailed"
    assert (answer.output_format, answer.size, answer.quality) == ("png", "64x64", "medium")
    preview = server.client.post("/prompt/preview", json=body).json()
    counted = [
        preview[field]["text_encoders"]["text_encoder"]["tokens"] for field in ("prompt", "negative_prompt")
    ]
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.text_tokens == answer.usage.total_tokens == sum(counted) > 5
    assert answer.model_extra is not None
    told = answer.model_extra["ecurie"]
    job = server.job(told["job_id"])
    assert raw.headers["x-request-id"] == job["id"]
    assert told["report"] == job["result"]["report"]
    assert told["report"]["adapters"][0]["name"] == "style-anime"
    assert (told["seed"], told["model"]) == (7, "sdxl-base")
    assert answer.created == int(datetime.fromisoformat(job["finished_at"]).timestamp())


@pytest.mark.calls("images.generate")
def test_image_k_of_n_is_the_image_of_its_seed(client: OpenAI, server: Server) -> None:
    answer = client.images.generate(prompt="red apple", n=2, model="gpt-image-2", extra_body=QUICK)
    first, second = contents(answer)
    assert first == native(server, prompt="red apple", **QUICK)
    alone = native(server, prompt="red apple", steps=4, seed=8)
    assert opened(second).tobytes() == opened(alone).tobytes()
    assert [image.model_extra for image in answer.data or []] == [{"seed": 7}, {"seed": 8}]


@pytest.mark.calls("images.generate")
def test_size_format_and_url_are_as_asked(client: OpenAI) -> None:
    answer = client.images.generate(
        prompt="red apple",
        size="96x64",
        output_format="webp",
        output_compression=50,
        response_format="url",
        extra_body=QUICK,
    )
    assert answer.data is not None
    assert answer.data[0].b64_json is None
    assert answer.data[0].url is not None
    fetched = httpx2.get(answer.data[0].url, trust_env=False)
    assert fetched.headers["content-type"] == "image/webp"
    assert opened(fetched.content).size == (96, 64)
    assert opened(fetched.content).format == "WEBP"
    assert (answer.size, answer.output_format) == ("96x64", "webp")


@pytest.mark.calls("images.generate")
def test_the_retired_models_answer_with_addresses_as_they_did(client: OpenAI) -> None:
    answer = client.images.generate(
        prompt="red apple", model="dall-e-3", style="vivid", quality="hd", extra_body=QUICK
    )
    assert answer.data is not None
    assert answer.data[0].b64_json is None
    assert httpx2.get(answer.data[0].url or "", trust_env=False).status_code == 200
    assert answer.quality == "high"


@pytest.mark.calls("images.generate")
def test_quality_sets_the_steps_unless_they_are_given(client: OpenAI, server: Server) -> None:
    def steps(**fields: Any) -> int:
        answer = client.images.generate(prompt="red apple", size="64x64", **fields)
        assert answer.model_extra is not None
        count: int = server.job(answer.model_extra["ecurie"]["job_id"])["request"]["steps"]
        return count

    assert steps(quality="low") == 15
    assert steps(quality="high", extra_body={"steps": 3}) == 3


@pytest.mark.calls("images.edit", "images.edit extra_body")
def test_an_edit_draws_from_the_picture(client: OpenAI, server: Server) -> None:
    extra = {"steps": 8, "seed": 7, "strength": 0.5, "loras": [{"name": "style-anime", "weight": 0.8}]}
    answer = client.images.edit(prompt="dog", image=APPLE, extra_body=extra)
    init = base64.b64encode(APPLE.read_bytes()).decode()
    assert contents(answer) == [native(server, prompt="dog", init_image=init, **extra)]
    assert answer.size == "64x64"


@pytest.mark.calls("images.edit with mask")
def test_a_masked_edit_draws_where_the_mask_is_transparent(client: OpenAI, server: Server) -> None:
    holes = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
    holes.paste((0, 0, 0, 0), (0, 0, 32, 64))
    answer = client.images.edit(
        prompt="pizza",
        image=("a.png", APPLE.read_bytes()),
        mask=saved(holes),
        extra_body=QUICK | {"mask_blur": 0},
    )
    white = Image.new("L", (64, 64))
    ImageDraw.Draw(white).rectangle((0, 0, 31, 63), fill="white")
    coded = [base64.b64encode(content).decode() for content in (APPLE.read_bytes(), saved(white))]
    body = {"init_image": coded[0], "mask": coded[1], "mask_blur": 0, "strength": 1.0}
    (made,) = contents(answer)
    assert made == native(server, prompt="pizza", **QUICK, **body)
    before, after = opened(APPLE.read_bytes()).convert("RGB"), opened(made)
    kept, redrawn = (32, 0, 64, 64), (0, 0, 32, 64)
    assert after.crop(kept).tobytes() == before.crop(kept).tobytes()
    assert after.crop(redrawn).tobytes() != before.crop(redrawn).tobytes()


@pytest.mark.calls("images.edit with several images")
def test_further_pictures_of_an_edit_are_references(client: OpenAI) -> None:
    answer = client.images.edit(
        prompt="rocket", image=[APPLE.read_bytes(), CAT.read_bytes()], extra_body=QUICK | {"strength": 0.9}
    )
    assert answer.model_extra is not None
    looked = answer.model_extra["ecurie"]["report"]["ip_adapter"]
    assert looked["references"] == 1
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.image_tokens == looked["tokens"] > 0


@pytest.mark.calls("images.generate stream")
def test_a_stream_tells_partial_images_then_finished_ones(client: OpenAI, server: Server) -> None:
    events = list(
        client.images.generate(
            prompt="red apple", n=2, stream=True, partial_images=2, extra_body={"steps": 60, "seed": 7}
        )
    )
    partial = [event for event in events if event.type == "image_generation.partial_image"]
    completed = [event for event in events if event.type == "image_generation.completed"]
    assert events == [*partial, *completed]
    for image in (0, 1):
        told = [event for event in partial if (event.model_extra or {})["image_index"] == image]
        assert [event.partial_image_index for event in told] == list(range(len(told)))
        assert len(told) <= 2
    assert partial
    assert opened(base64.b64decode(partial[0].b64_json)).format == "PNG"
    first = base64.b64decode(completed[0].b64_json)
    assert first == native(server, prompt="red apple", steps=60, seed=7)
    assert [(event.model_extra or {})["ecurie"]["seed"] for event in completed] == [7, 8]
    assert all(event.usage.total_tokens >= 2 for event in completed)
    assert {(event.size, event.output_format, event.background) for event in events} == {
        ("64x64", "png", "opaque")
    }


@pytest.mark.calls("images.edit stream")
def test_an_edit_is_streamed_likewise(client: OpenAI) -> None:
    stream = client.images.edit(
        prompt="dog",
        image=APPLE.read_bytes(),
        stream=True,
        partial_images=1,
        output_format="jpeg",
        extra_body=QUICK,
    )
    *_, last = list(stream)
    assert last.type == "image_edit.completed"
    assert opened(base64.b64decode(last.b64_json)).format == "JPEG"


@pytest.mark.calls("AsyncOpenAI images.generate", "AsyncOpenAI images.edit", "AsyncOpenAI stream")
def test_the_asynchronous_client_does_the_same(server: Server) -> None:
    async def ask() -> tuple[Any, ...]:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", timeout=120) as client:

            async def streamed() -> list[Any]:
                asked = client.images.generate(prompt="rocket", stream=True, extra_body=QUICK)
                return [event async for event in await asked]

            return await asyncio.gather(
                client.images.generate(prompt="red apple", extra_body=QUICK),
                client.images.edit(prompt="dog", image=APPLE.read_bytes(), extra_body=QUICK),
                streamed(),
                client.models.list(),
            )

    made, edited, events, models = asyncio.run(ask())
    assert contents(made) == [native(server, prompt="red apple", **QUICK)]
    assert opened(contents(edited)[0]).size == (64, 64)
    assert [event.type for event in events] == ["image_generation.completed"]
    assert len(models.data) == 2


@pytest.mark.calls("images.generate timeout", "images.generate stream closed")
@pytest.mark.parametrize("leave", ["timeout", "stream"])
def test_a_client_that_leaves_cancels_its_job(client: OpenAI, server: Server, leave: str) -> None:
    long = {"steps": 150}
    if leave == "stream":
        stream = client.images.generate(
            prompt="red apple", n=10, stream=True, partial_images=3, extra_body=long
        )
        next(iter(stream))
        stream.close()
    else:
        with pytest.raises(openai.APITimeoutError):
            client.with_options(max_retries=0).images.generate(
                prompt="red apple", n=10, timeout=1.5, extra_body=long
            )
    job_id = server.client.get("/jobs?limit=1").json()["jobs"][0]["id"]
    assert server.wait_for(job_id, "cancelled", "succeeded")["state"] == "cancelled"


class Case(NamedTuple):
    error: type[openai.APIStatusError]
    code: str
    param: str | None
    fields: dict[str, Any]


REFUSED = [
    Case(openai.NotFoundError, "model_not_found", "model", {"model": "nope"}),
    Case(openai.NotFoundError, "unknown-adapter", "lora.0", {"extra_body": {"lora": {"name": "nope"}}}),
    Case(openai.BadRequestError, "invalid-request", "size", {"size": "100x100"}),
    Case(openai.BadRequestError, "invalid-request", "size", {"size": "4096x4096"}),
    Case(openai.BadRequestError, "invalid-request", "n", {"n": 11}),
    Case(openai.BadRequestError, "invalid-request", "background", {"background": "transparent"}),
    Case(openai.BadRequestError, "invalid-request", "stesp", {"extra_body": {"stesp": 5}}),
    Case(openai.BadRequestError, "invalid-request", "cfg_scale", {"extra_body": {"cfg_scale": 99}}),
    Case(openai.BadRequestError, "invalid-request", "prompt", {"prompt": " "}),
    Case(openai.BadRequestError, "invalid-request", "output_format", {"output_format": "gif"}),
]


@pytest.mark.calls("images.generate refused")
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: f"{case.param}-{case.code}")
def test_a_refusal_is_the_right_exception_and_names_the_field(client: OpenAI, case: Case) -> None:
    with pytest.raises(case.error) as raised:
        client.images.generate(**{"prompt": "red apple"} | case.fields)
    error = raised.value
    assert (error.code, error.param) == (case.code, case.param)
    assert error.type == "invalid_request_error"
    assert error.response.headers["x-should-retry"] == "false"


@pytest.mark.calls("images.edit refused", "images.create_variation refused")
def test_edits_and_variations_are_refused_with_a_reason(client: OpenAI) -> None:
    opaque = saved(Image.new("RGBA", (64, 64), (0, 0, 0, 255)))
    with pytest.raises(openai.BadRequestError, match="nothing in it is transparent") as raised:
        client.images.edit(prompt="dog", image=APPLE.read_bytes(), mask=opaque)
    assert raised.value.param == "mask"
    with pytest.raises(openai.BadRequestError, match="no picture that can be read"):
        client.images.edit(prompt="dog", image=b"no picture")
    with pytest.raises(openai.BadRequestError, match="have no prompt"):
        client.images.create_variation(image=APPLE.read_bytes())


@pytest.mark.calls("a wrong key", "a full queue", "an address that is not served")
def test_a_wrong_key_and_a_full_queue_are_their_own_exceptions(start_server: StartServer) -> None:
    server = start_server("--workers", "0", "--max-queue", "1", ready=False, ECURIE_API_KEY="secret")
    server.wait_until(lambda: server.client.get("/healthz").status_code == 200, "answering")
    with OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as wrong:
        with pytest.raises(openai.AuthenticationError) as refused:
            wrong.images.generate(prompt="red apple")
        assert refused.value.code == "invalid_api_key"
        right = wrong.with_options(api_key="secret")
        with pytest.raises(openai.NotFoundError) as missing:
            right.chat.completions.create(model="sdxl-base", messages=[])
        assert missing.value.code == "unknown_url"
        headers = {"authorization": "Bearer secret"}
        server.client.post("/generate", json={"prompt": "red apple"}, headers=headers).raise_for_status()
        with pytest.raises(openai.RateLimitError) as full:
            right.images.generate(prompt="red apple")
        assert full.value.code == "rate_limit_exceeded"
        assert int(full.value.response.headers["retry-after"]) > 0


def key_of(data_dir: Path, name: str) -> str:
    arguments = ["keys", "create", "--role", "user", "--name", name]
    environment = {**os.environ, "ECURIE_DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "ecurie", *arguments]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return made.stdout.strip()


@pytest.mark.calls("images.generate with keys", "images.edit with keys")
def test_a_keys_images_are_its_own_and_its_links_need_no_key(
    start_server: StartServer, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    keys = [key_of(folder, name) for name in ("anna", "ben")]
    server = start_server(data_dir=folder)
    anna, ben = (OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) for key in keys)
    with anna, ben:
        made = anna.images.generate(prompt="red apple", response_format="url", extra_body=QUICK)
        assert made.data is not None
        assert made.model_extra is not None
        link = httpx2.URL(made.data[0].url or "")
        assert httpx2.get(link, trust_env=False).status_code == 200
        bare = httpx2.get(link.copy_with(query=None), trust_env=False)
        assert bare.status_code == 401
        job = f"{server.url}/jobs/{made.model_extra['ecurie']['job_id']}"
        seen = [
            httpx2.get(job, headers={"authorization": f"Bearer {key}"}, trust_env=False).status_code
            for key in keys
        ]
        assert seen == [200, 404]
        # A file of Anna's by its name, as a text instead of a file.
        theirs = {"init_image": Path(link.path).name} | QUICK
        assert anna.images.generate(prompt="dog", extra_body=theirs).data
        with pytest.raises(openai.NotFoundError) as raised:
            ben.images.generate(prompt="dog", extra_body=theirs)
        assert (raised.value.code, raised.value.param) == ("unknown-picture", "init_image")
        edited = ben.images.edit(prompt="dog", image=APPLE.read_bytes(), extra_body=QUICK)
        assert edited.data
