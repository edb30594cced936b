"""Who may send what: a server on loopback is within reach of every web page its user visits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ecurie.api.app import create_app
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.store import JobStore
from ecurie.service import Service
from tests.unit.api.serving import make_service

CURL = {"content-type": "application/x-www-form-urlencoded"}
BODY = '{"prompt": "red apple"}'


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    catalog = Catalog(BUILTIN["demo"], tmp_path)
    yield make_service(catalog, store, tmp_path)
    store.close()


def client(
    service: Service, *, key: str | None = None, base_url: str = "http://localhost:8009"
) -> TestClient:
    app = create_app(
        service,
        lambda: False,
        Forecasts(service.store.database, list, 60),
        allowed_hosts=("gpu.home.arpa",),
        allowed_origins=("https://ui.test",),
        api_key=key,
        max_body_bytes=20_000,
        max_upload_bytes=1000,
    )
    return TestClient(app, base_url=base_url, raise_server_exceptions=False)


@pytest.mark.parametrize(
    "host", ["localhost:8009", "127.0.0.1:8009", "[::1]:8009", "LOCALHOST", "gpu.home.arpa", "localhost."]
)
def test_our_own_hosts_are_served(service: Service, host: str) -> None:
    assert client(service).get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.test",
        "evil.test:8009",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "",
        "localhost@evil.test",
        "[",
    ],
)
def test_other_hosts_are_refused(service: Service, host: str) -> None:
    """DNS rebinding: the page's own name resolves to loopback, so Host equals Origin."""
    answer = client(service).get("/models", headers={"host": host, "origin": f"http://{host}"})
    assert answer.status_code == 403
    assert answer.json()["code"] == "forbidden"


@pytest.mark.parametrize("origin", ["http://localhost:8009", "https://ui.test"])
def test_our_own_page_and_allowed_origins_may_post(service: Service, origin: str) -> None:
    answer = client(service).post("/generate", json={"prompt": "x"}, headers={"origin": origin})
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test",
        "null",
        "http://localhost:3000",
        "file://",
        "",
        "https://ui.test.evil.test",
        "http://[",
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_other_pages_may_not(service: Service, origin: str, kind: str) -> None:
    answer = client(service).post("/generate", content=BODY, headers={"origin": origin, "content-type": kind})
    assert answer.status_code == 403
    assert service.store.counts()["queued"] == 0


def test_json_sent_by_plain_curl_is_read(service: Service) -> None:
    assert client(service).post("/generate", content=BODY, headers=CURL).status_code == 202


def test_a_form_from_a_browser_is_not_read_as_json(service: Service) -> None:
    headers = CURL | {"sec-fetch-site": "none"}
    assert client(service).post("/generate", content=BODY, headers=headers).status_code == 422
    assert service.store.counts()["queued"] == 0


def test_bodies_are_limited_with_and_without_a_length(service: Service) -> None:
    content = b'{"prompt": "' + b"x" * 30_000 + b'"}'
    served = client(service)
    assert served.post("/generate", content=content, headers=CURL).status_code == 413
    assert served.post("/generate", content=iter([content]), headers=CURL).status_code == 413
    assert served.post("/generate", content=BODY, headers=CURL | {"content-length": "x"}).status_code == 413


@pytest.mark.parametrize("path", ["/generate", "/images", "/replay", "/sweeps"])
def test_bodies_with_pictures_may_be_larger_than_others(service: Service, path: str) -> None:
    """By two pictures in base64."""
    served = client(service)
    for length, status in ((22_000, 422), (23_000, 413)):
        assert served.post(path, content=bytes(length)).status_code == status
        assert served.post(path, content=iter([bytes(length)])).status_code == status


def test_a_key_is_needed_where_one_is_set(service: Service) -> None:
    served = client(service, key="sésame")
    assert served.get("/healthz").status_code == 200
    refused = served.get("/models")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    for header in ("Bearer wrong", "Bearer", "Basic sésame", "sésame"):
        assert served.get("/models", headers={"authorization": header.encode()}).status_code == 401
    right = {"authorization": "Bearer sésame".encode()}
    assert served.get("/models", headers=right).status_code == 200


def test_a_full_queue_says_when_to_come_back(service: Service) -> None:
    served = client(service)
    for _ in range(10):
        assert served.post("/generate", json={"prompt": "x"}).status_code == 202
    refused = served.post("/generate", json={"prompt": "x"})
    assert (refused.status_code, refused.json()["code"]) == (429, "queue-full")
    assert int(refused.headers["retry-after"]) > 0


def test_not_ready_until_a_worker_is(service: Service) -> None:
    assert client(service).get("/readyz").status_code == 503


def test_answers_cannot_be_sniffed_into_another_type(service: Service) -> None:
    assert client(service).get("/models").headers["x-content-type-options"] == "nosniff"


def test_an_unexpected_fault_shows_nothing_of_the_inside(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(service.store, "latest", fail)
    answer = client(service).get("/jobs")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text


def test_the_description_is_complete(service: Service) -> None:
    paths = client(service).get("/openapi.json").json()["paths"]
    assert {
        "/generate",
        "/jobs",
        "/jobs/{job_id}",
        "/jobs/{job_id}/events",
        "/models",
        "/loras",
    } <= paths.keys()
    assert {"/images", "/images/{picture_id}"} <= paths.keys()
    assert {"/schedulers", "/outputs/{filename}", "/system", "/healthz", "/readyz"} <= paths.keys()
    body = paths["/generate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["$ref"].endswith("GenerateBody")
