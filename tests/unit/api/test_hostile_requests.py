"""Requests that want more than they may: from other web pages, to other files, by other methods."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.jobs.store import JobStore
from ecurie.service import Service
from tests.unit.api.serving import make_app, make_service
from tests.unit.images.pictures import plain, saved

SAFE = {"get", "head", "options"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield make_service(Catalog(BUILTIN["demo"], tmp_path / "models"), store, tmp_path)
    store.close()


@pytest.fixture
def client(service: Service) -> TestClient:
    return TestClient(make_app(service), base_url="http://localhost:8009", raise_server_exceptions=False)


def routes(client: TestClient, methods: str) -> list[tuple[str, str]]:
    """(method, path) of those of the description that change something, or that do not."""
    paths = client.get("/openapi.json").json()["paths"]
    known = [(method, path) for path, operations in paths.items() for method in operations]
    return [(method, path) for method, path in known if (method in SAFE) is (methods == "safe")]


def told_as(path: str) -> str:
    """The media type of errors below a path: those of OpenAI's clients are of their own form."""
    return "application/json" if path.startswith("/v1/") else "application/problem+json"


@pytest.mark.parametrize("origin", ["https://evil.test", "null", "http://localhost:3000"])
@pytest.mark.parametrize("kind", ["text/plain", "application/json", "multipart/form-data; boundary=x"])
def test_another_page_changes_nothing_by_any_route(
    client: TestClient, service: Service, origin: str, kind: str
) -> None:
    job = client.post("/generate", json={"prompt": "x"}).json()["id"]
    picture = client.post("/images", content=saved(plain())).json()["id"]
    before = service.store.counts()
    tried = routes(client, "unsafe")
    assert len(tried) >= 8
    for method, path in tried:
        url = re.sub(r"\{\w+\}", job, path.replace("{picture_id}", picture))
        headers = {"origin": origin, "content-type": kind}
        answer = client.request(method, url, content=b'{"prompt": "x"}', headers=headers)
        assert answer.status_code == 403, (method, path)
        assert "may not use this server" in answer.text
    assert service.store.counts() == before
    assert client.get(f"/images/{picture}").status_code == 200


def test_no_page_may_read_what_it_did_not_get_from_here(client: TestClient) -> None:
    """No CORS header, so a browser keeps the answer from other pages; a preflight is refused."""
    for _, path in routes(client, "safe"):
        answer = client.get(path)
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        preflight = {"origin": "https://evil.test", "access-control-request-method": "DELETE"}
        assert client.options(path, headers=preflight).status_code == 403


@pytest.mark.parametrize("header", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_a_header_is_no_method(client: TestClient, header: str) -> None:
    picture = client.post("/images", content=saved(plain())).json()["url"]
    assert client.get(picture, headers={header: "DELETE"}).status_code == 200
    assert client.post(picture, headers={header: "DELETE"}).status_code == 405
    assert client.post(f"{picture}?_method=DELETE", data={"_method": "DELETE"}).status_code == 405
    assert client.get(picture).status_code == 200


@pytest.mark.parametrize(
    "header", ["x-forwarded-host", "x-original-url", "x-rewrite-url", "forwarded", "x-host"]
)
def test_a_header_is_no_host_and_no_path(client: TestClient, header: str) -> None:
    refused = client.get("/models", headers={"host": "evil.test", header: "localhost"})
    assert refused.status_code == 403
    served = client.get("/models", headers={header: "/healthz"})
    assert "models" in served.json()


def test_cookies_are_not_asked(service: Service) -> None:
    """What a browser sends by itself lets nobody in."""
    locked = TestClient(make_app(service, api_key="secret"), base_url="http://localhost:8009")
    for cookies in ({"authorization": "Bearer secret"}, {"api_key": "secret"}, {"key": "secret"}):
        locked.cookies.update(cookies)
        assert locked.get("/models").status_code == 401
    assert locked.get("/models?api_key=secret&key=secret").status_code == 401


LEADING_OUT = [
    "..%2fjobs.db",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2fjobs.db",
    "..%5cjobs.db",
    "%2fetc%2fpasswd",
    "....%2f%2fjobs.db",
    "..%252fjobs.db",
    "%c0%ae%c0%ae%2fjobs.db",
    "..%2fjobs.db%00.png",
    "a%00.png",
    "link.png",
    "file:%2f%2f%2fetc%2fpasswd",
    "%ff",
    "." * 300 + ".png",
]


@pytest.mark.parametrize("name", LEADING_OUT)
def test_no_path_leads_to_another_file(client: TestClient, tmp_path: Path, name: str) -> None:
    for folder in ("outputs", "uploads"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "link.png").symlink_to(tmp_path / "jobs.db")
    kinds = {re.sub(r"\{\w+\}", name, path) for _, path in routes(client, "safe") if "{" in path}
    assert len(kinds) >= 6
    for path in kinds:
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, told_as(path)), path
        assert b"SQLite format" not in answer.content
    for method, path in routes(client, "unsafe"):
        if "{" in path:
            url = re.sub(r"\{\w+\}", name, path)
            body = {} if "/keys" in path else {"priority": "batch"}
            assert client.request(method, url, json=body).status_code == 404, url
    assert (tmp_path / "jobs.db").is_file()


def test_every_answer_says_that_its_type_is_meant(client: TestClient) -> None:
    """Also refusals, and answers that hold what a stranger wrote."""
    job = client.post("/generate", json={"prompt": "<script>alert(1)</script>"}).json()["id"]
    picture = client.post("/images", content=saved(plain())).json()["url"]
    answers = [
        *(
            client.get(path)
            for path in ("/jobs", f"/jobs/{job}", picture, "/openapi.json", "/nowhere", "/jobs/<b>")
        ),
        client.get("/jobs", headers={"host": "evil.test"}),
        client.post("/generate", json={"prompt": "x", "<script>alert(1)</script>": 1}),
        client.post("/generate", content=b"x" * 2_000_000),
        client.put("/jobs"),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "html" not in answer.headers["content-type"]
        assert answer.headers["content-type"].split(";")[0] in {
            "application/json",
            "application/problem+json",
            "image/png",
        }


def test_a_wrong_method_is_told_all_that_there_are(client: TestClient) -> None:
    for path, methods in (
        ("/jobs/x", "GET, PATCH, DELETE"),
        ("/images/x", "GET, DELETE"),
        ("/images", "POST"),
        ("/models", "GET"),
    ):
        answer = client.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
