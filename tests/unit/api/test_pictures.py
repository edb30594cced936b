"""`/images`, and pictures in the bodies of requests."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from ecurie.api.app import create_app
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import LOCAL, JobState
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.store import JobStore
from ecurie.service import Service
from tests.unit.api.serving import UPLOADS, make_service
from tests.unit.images.pictures import bomb, plain, saved

CONTENT = saved(plain(80, 64))
CODED = base64.b64encode(CONTENT).decode()
MASK = base64.b64encode(saved(plain(80, 64, "white"))).decode()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield make_service(Catalog(BUILTIN["demo"], tmp_path), store, tmp_path)
    store.close()


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    app = create_app(
        service,
        lambda: False,
        Forecasts(service.store.database, list, 60),
        allowed_hosts=(),
        allowed_origins=(),
        api_key=None,
        max_body_bytes=1000,
        max_upload_bytes=UPLOADS.bytes,
    )
    with TestClient(app, base_url="http://localhost:8009", raise_server_exceptions=False) as made:
        yield made


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"file": ("../../x.svg", CONTENT, "text/html")}},
        {"content": CONTENT, "headers": {"content-type": "image/png"}},
        {"content": CONTENT, "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": CONTENT},
    ],
    ids=["form", "body", "curl --data-binary", "no type"],
)
def test_a_picture_is_kept_and_given_back(client: TestClient, sent: dict[str, Any]) -> None:
    answer = client.post("/images", **sent)
    assert answer.status_code == 201
    told = answer.json()
    assert answer.headers["location"] == told["url"] == f"/images/{told['id']}"
    assert (told["format"], told["width"], told["height"], told["bytes"]) == ("png", 80, 64, len(CONTENT))
    assert told["sha256"].startswith(told["id"])
    back = client.get(told["url"])
    assert (back.content, back.headers["content-type"]) == (CONTENT, "image/png")
    assert back.headers["x-content-type-options"] == "nosniff"
    assert client.post("/images", **sent).json() == told
    assert client.delete(told["url"]).status_code == 204
    for gone in (client.get(told["url"]), client.delete(told["url"])):
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown-picture")


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        ({"content": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, 422, "no picture"),
        ({"content": b""}, 422, "no picture"),
        ({"content": bomb()}, 422, "19000x19000|exceeds"),
        ({"content": CONTENT + b"\0" * UPLOADS.bytes}, 413, "100,000"),
        ({"content": b"\0" * 4 * UPLOADS.bytes}, 413, "the body"),
        ({"content": iter([b"\0" * 4 * UPLOADS.bytes])}, 413, "the body"),
        ({"data": {"file": "text"}, "files": {"x": ("a.png", b"")}}, 422, "no picture"),
        ({"files": {"a": b"1", "b": b"2"}}, 422, "Too many files"),
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, 422, "boundary"),
    ],
)
def test_what_is_no_picture_is_refused(
    client: TestClient, tmp_path: Path, sent: dict[str, Any], status: int, says: str
) -> None:
    answer = client.post("/images", **sent)
    assert answer.status_code == status
    assert any(part in answer.json()["detail"] for part in says.split("|"))
    assert not (tmp_path / "uploads").exists()


@pytest.mark.parametrize(
    "name", ["..%2f..%2fjobs.db", "%2e%2e/jobs.db", "jobs.db", "a%00b", "%2fetc%2fpasswd"]
)
def test_no_other_file_is_reached(client: TestClient, tmp_path: Path, name: str) -> None:
    for answer in (client.get(f"/images/{name}"), client.delete(f"/images/{name}")):
        assert answer.status_code in (404, 405)
    assert (tmp_path / "jobs.db").is_file()


def test_other_routes_keep_the_small_limit(client: TestClient) -> None:
    assert client.post("/jobs", content=b"x" * 2000).status_code == 413


@pytest.mark.parametrize(
    "init",
    [
        CODED,
        f"data:image/png;base64,{CODED}",
        f"data:text/html;charset=utf-8;base64,{CODED}",
        CODED.rstrip("="),
        CODED.replace("+", "-").replace("/", "_"),
        "\n".join(CODED[at : at + 76] for at in range(0, len(CODED), 76)),
    ],
    ids=["base64", "data URI", "another type", "no padding", "url-safe", "lines"],
)
def test_a_picture_in_a_body_becomes_an_upload(client: TestClient, service: Service, init: str) -> None:
    answer = client.post("/generate", json={"prompt": "x", "init_image": init, "mask": MASK})
    assert answer.status_code == 202, answer.text
    shown = answer.json()["request"]
    assert client.get(f"/images/{shown['init_image']}").content == CONTENT
    assert client.get(f"/images/{shown['mask']}").status_code == 200
    assert (shown["width"], shown["height"], shown["strength"]) == (80, 64, 0.75)
    assert (shown["resize"], shown["mask_blur"], shown["hires"]) == ("crop", 4, None)
    again = client.post("/generate", json=shown)
    assert (again.status_code, again.json()["request"]) == (202, shown)


def test_an_id_and_an_output_are_names_of_pictures(client: TestClient, tmp_path: Path) -> None:
    picture = client.post("/images", content=CONTENT).json()["id"]
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "made_1.png").write_bytes(CONTENT)
    for name in (picture, "made_1.png"):
        answer = client.post("/generate", json={"prompt": "x", "init_image": name})
        assert answer.json()["request"]["init_image"] == picture


@pytest.mark.parametrize(
    ("init", "status", "code"),
    [
        ("0" * 32, 404, "unknown-picture"),
        ("nowhere.png", 404, "unknown-picture"),
        ("../../etc/passwd", 422, "invalid-request"),
        ("..%2f..%2fa.png", 422, "invalid-request"),
        ("http://169.254.169.254/a.png", 422, "invalid-request"),
        ("data:image/png,abc", 422, "invalid-request"),
        ("data:image/png;base64,", 422, "invalid-request"),
        ("héhé", 422, "invalid-request"),
        (base64.b64encode(b"<svg/>").decode(), 422, "invalid-request"),
        (base64.b64encode(bomb()).decode(), 422, "invalid-request"),
        (base64.b64encode(CONTENT + b"\0" * UPLOADS.bytes).decode(), 413, "body-too-large"),
        ("", 422, "invalid-request"),
        (5, 422, "invalid-request"),
    ],
)
def test_other_words_are_refused(client: TestClient, init: Any, status: int, code: str) -> None:
    answer = client.post("/generate", json={"prompt": "x", "init_image": init})
    told = answer.json()
    assert (answer.status_code, told["code"], told["field"]) == (status, code, "init_image")
    assert len(answer.text) < 1000


def test_a_picture_that_a_job_waits_for_outlives_its_days(client: TestClient, service: Service) -> None:
    used, unused = (client.post("/images", content=saved(plain(64, side))).json()["id"] for side in (64, 72))
    job = client.post("/generate", json={"prompt": "x", "init_image": used}).json()["id"]
    service.remove_old_pictures(0)
    service.remove_old_pictures(1e-9)
    assert client.get(f"/images/{used}").status_code == 200
    assert client.get(f"/images/{unused}").status_code == 404
    assert service.cancel(job, LOCAL).state is JobState.CANCELLED
    service.remove_old_pictures(1e-9)
    assert client.get(f"/images/{used}").status_code == 404


@pytest.mark.parametrize(
    ("wanted", "status", "part", "told"),
    [
        ("bytes=0-3", 206, slice(0, 4), "bytes 0-3/{size}"),
        ("bytes=5-", 206, slice(5, None), "bytes 5-{last}/{size}"),
        ("bytes=-4", 206, slice(-4, None), "bytes {from_end}-{last}/{size}"),
        ("bytes=5-99999999", 206, slice(5, None), "bytes 5-{last}/{size}"),
        ("bytes=-99999999", 206, slice(None), "bytes 0-{last}/{size}"),
        ("bytes=99999999-", 416, slice(0, 0), "bytes */{size}"),
        ("bytes=-0", 416, slice(0, 0), "bytes */{size}"),
        ("bytes=5-3", 416, slice(0, 0), "bytes */{size}"),
        ("bytes=0-1,4-5", 200, slice(None), None),
        ("bytes=-", 200, slice(None), None),
        ("lines=0-1", 200, slice(None), None),
        ("bytes=" + ",".join(["0-1"] * 10_000), 200, slice(None), None),
    ],
)
def test_a_part_of_an_output_is_given(
    client: TestClient, tmp_path: Path, wanted: str, status: int, part: slice, told: str | None
) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "made.png").write_bytes(CONTENT)
    answer = client.get("/outputs/made.png", headers={"Range": wanted})
    size = len(CONTENT)
    words = {"size": size, "last": size - 1, "from_end": size - 4}
    assert (answer.status_code, answer.content) == (status, CONTENT[part])
    assert answer.headers.get("content-range") == (told and told.format(**words))
    assert answer.headers["content-length"] == str(len(answer.content))


def test_who_has_an_output_is_not_sent_it_again_until_it_changes(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    file = tmp_path / "outputs" / "made.png"
    file.write_bytes(CONTENT)
    etag = client.get("/outputs/made.png").headers["etag"]
    known = client.get("/outputs/made.png", headers={"If-None-Match": f'"other", W/{etag}'})
    assert (known.status_code, known.content) == (304, b"")
    file.write_bytes(CONTENT + b"\0")
    asked = {"If-None-Match": etag, "If-Range": etag, "Range": "bytes=0-3"}
    changed = client.get("/outputs/made.png", headers=asked)
    assert (changed.status_code, changed.content) == (200, CONTENT + b"\0")
    assert changed.headers["etag"] != etag


def test_a_picture_keeps_its_state_while_it_is_used(client: TestClient) -> None:
    url = client.post("/images", content=CONTENT).json()["url"]
    etags = {client.get(url).headers["etag"] for _ in range(2)}
    assert len(etags) == 1
