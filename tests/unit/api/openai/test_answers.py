"""How requests end that get no picture: refused, failed, cancelled, left when the server stops."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from ecurie.api.app import create_app
from ecurie.api.openai import streaming
from ecurie.api.openai.errors import error_out, shape
from ecurie.api.problems import problem_of
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import LOCAL, Job, JobFailure
from ecurie.errors import (
    BodyTooLarge,
    EcurieError,
    GenerationFailed,
    JobCancelled,
    OutOfMemory,
    QueueFull,
    StorageFull,
    StoreUnavailable,
    WeightsMissing,
    error_called,
)
from ecurie.images.fitting import mask_of_holes
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.store import JobStore
from ecurie.service import Service
from tests.unit.api.serving import make_service

BODY = {"prompt": "red apple", "stream": True}


class Api:
    """The interface without a worker; `stopping` is what the server says of itself."""

    def __init__(self, service: Service):
        self.service, self.stopping = service, False
        app = create_app(
            service,
            lambda: self.stopping,
            Forecasts(service.store.database, list, 60),
            allowed_hosts=(),
            allowed_origins=(),
            api_key=None,
            max_body_bytes=20_000,
            max_upload_bytes=200_000,
        )
        self.client = TestClient(app, base_url="http://localhost:8009", raise_server_exceptions=False)

    def job(self) -> Job | None:
        return next(iter(self.service.jobs(1, None, LOCAL)), None)

    def meanwhile(self, act: Callable[[Job], object]) -> threading.Thread:
        """Do something as soon as a job is queued."""

        def wait() -> None:
            while (job := self.job()) is None:
                ended.wait(0.01)
            act(job)

        ended = threading.Event()
        thread = threading.Thread(target=wait)
        thread.start()
        return thread

    def stop(self, _job: Job) -> None:
        self.stopping = True

    def cancel(self, job: Job) -> None:
        self.service.cancel(job.id, LOCAL)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield Api(make_service(Catalog(BUILTIN["demo"], tmp_path), store, tmp_path))
    store.close()


def error_frame(text: str) -> dict[str, Any]:
    frames = [frame for frame in text.split("\n\n") if frame and not frame.startswith(":")]
    (name, data) = frames[-1].split("\n")
    assert name == "event: error"
    told: dict[str, Any] = json.loads(data.removeprefix("data: "))["error"]
    return told


@pytest.mark.parametrize("stream", [False, True])
def test_a_job_that_somebody_cancels_ends_the_request(api: Api, stream: bool) -> None:
    thread = api.meanwhile(api.cancel)
    answer = api.client.post("/v1/images/generations", json=BODY | {"stream": stream})
    thread.join()
    told = error_frame(answer.text) if stream else answer.json()["error"]
    assert told["code"] == "cancelled"
    assert answer.status_code == (200 if stream else 409)


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_stops_keeps_the_job_and_says_which(api: Api, stream: bool) -> None:
    thread = api.meanwhile(api.stop)
    answer = api.client.post("/v1/images/generations", json=BODY | {"stream": stream})
    thread.join()
    told = error_frame(answer.text) if stream else answer.json()["error"]
    job = api.job()
    assert job is not None
    assert job.id in told["message"]
    assert job.state == "queued"
    if not stream:
        assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")


def test_a_silent_stream_is_kept_open_by_comments(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.0)
    thread = api.meanwhile(api.cancel)
    answer = api.client.post("/v1/images/generations", json=BODY)
    thread.join()
    assert answer.text.startswith(": ping\n\n")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize(
    ("error", "status", "kind", "retry"),
    [
        (QueueFull("full"), 429, "rate_limit_error", True),
        (StoreUnavailable("away"), 503, "server_error", True),
        (StorageFull("full"), 507, "server_error", False),
        (WeightsMissing("none"), 409, "invalid_request_error", False),
        (BodyTooLarge("large", field="image"), 413, "invalid_request_error", False),
        (JobCancelled("gone"), 409, "invalid_request_error", False),
        (OutOfMemory("large"), 500, "server_error", False),
        (EcurieError("oops"), 500, "server_error", False),
    ],
)
def test_only_what_was_not_queued_is_worth_sending_again(
    error: EcurieError, status: int, kind: str, retry: bool
) -> None:
    answer = shape(problem_of(error))
    assert answer.status_code == status
    assert ("x-should-retry" not in answer.headers) is retry
    assert error_out(problem_of(error)).error.type == kind


def test_a_stored_failure_is_its_error_again() -> None:
    failure = JobFailure.of(OutOfMemory("too large", remedy="ask for less"))
    again = error_called(failure.code, failure.message, failure.remedy)
    assert (type(again), str(again), again.remedy) == (OutOfMemory, "too large", "ask for less")
    assert type(error_called("of-another-release", "x", None)) is GenerationFailed


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/chat/completions", 404, "unknown_url"),
        ("GET", "/v1/images/generations", 405, "http-405"),
        ("POST", "/v1/images/variations", 400, "invalid-request"),
        ("POST", "/v1/images/edits", 400, "invalid-request"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
    ],
)
def test_errors_have_openais_shape_everywhere(
    api: Api, method: str, path: str, status: int, code: str
) -> None:
    answer = api.client.request(method, path)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == code


def test_a_host_that_is_not_ours_is_told_likewise(api: Api) -> None:
    answer = api.client.get("/v1/models", headers={"host": "evil.test"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")


@pytest.mark.parametrize("body", [b"{", b'{"prompt": 1}', b"[]", b'{"prompt": "x", "seed": 1e309}', b"null"])
def test_a_body_that_cannot_be_read_is_400(api: Api, body: bytes) -> None:
    answer = api.client.post(
        "/v1/images/generations", content=body, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_pictures_may_be_larger_than_other_bodies(api: Api) -> None:
    form = {"image": ("a.png", bytes(150_000))}
    answer = api.client.post("/v1/images/edits", data={"prompt": "dog"}, files=form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, "image")


def test_the_description_names_the_interface_and_the_form(api: Api) -> None:
    paths = api.client.get("/openapi.json").json()["paths"]
    ours = {path: operation for path, operation in paths.items() if path.startswith("/v1/")}
    assert len(ours) == 5
    for operations in ours.values():
        for operation in operations.values():
            assert operation["tags"] == ["OpenAI Images"]
            assert "application/problem+json" not in json.dumps(operation)
    form = ours["/v1/images/edits"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert {"image", "mask", "prompt", "stream"} <= form["properties"].keys()


def test_a_mask_is_white_where_it_was_transparent() -> None:
    holes = Image.new("RGBA", (2, 1), (9, 9, 9, 255))
    holes.putpixel((0, 0), (9, 9, 9, 0))
    assert list(mask_of_holes(holes).tobytes()) == [255, 0]
    plain = Image.new("L", (2, 1))
    plain.putpixel((1, 0), 255)
    assert list(mask_of_holes(plain).tobytes()) == [0, 255]


@pytest.mark.parametrize("image_format", ["png", "webp", "jpeg"])
def test_a_partial_image_has_the_format_that_was_asked_for(image_format: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "WEBP")
    made = streaming._in_format(buffer.getvalue(), image_format)
    assert Image.open(io.BytesIO(made)).format == image_format.upper()
