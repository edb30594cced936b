"""`/gallery`, thumbnails, deleted images and `/read-image`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import JobResult, Setup, Timings
from ecurie.images.files import OutputFolder
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore
from ecurie.service import Service
from tests.unit.api.serving import UPLOADS, make_client, make_service
from tests.unit.images.pictures import plain, saved

SETUP = Setup("cpu", "float32", "EulerDiscreteScheduler", {})


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield make_service(Catalog(BUILTIN["demo"], tmp_path), store, tmp_path)
    store.close()


@pytest.fixture
def client(service: Service) -> Iterator[TestClient]:
    with make_client(service) as made:
        yield made


def make(client: TestClient, service: Service, **fields: object) -> list[str]:
    """The files of a job that a worker has done: red pictures."""
    answer = client.post("/generate", json={"prompt": "red apple", "width": 320, "height": 192, **fields})
    assert answer.status_code == 202, answer.text
    claim = service.store.claims.take("w", Held(), lease_seconds=30, max_overtake=30)
    assert claim is not None
    folder = OutputFolder(service.outputs, claim.job.id, claim.job.created_at)
    request = claim.job.request
    images = [
        folder.save(Image.new("RGB", (320, 192), "red"), request, index, SETUP)
        for index in range(request.num_images)
    ]
    service.store.claims.succeed(claim, JobResult(tuple(images), SETUP, Timings()))
    return [image.filename for image in images]


def test_the_gallery_tells_what_is_needed_to_show_an_image(client: TestClient, service: Service) -> None:
    files = make(
        client, service, prompt="apple " * 100, seed=7, num_images=2, loras=[{"name": "style-anime"}]
    )
    told = client.get("/gallery").json()
    assert told["next"] is None
    assert [image["filename"] for image in told["images"]] == files[::-1]
    first = told["images"][0]
    assert client.get(first["url"]).content[:4] == b"\x89PNG"
    small = client.get(first["thumbnail_url"])
    assert (small.headers["content-type"], Image.open(io.BytesIO(small.content)).size) == (
        "image/webp",
        (256, 154),
    )
    job = client.get(f"/jobs/{first['job_id']}").json()
    assert job["result"]["images"][first["index"]]["filename"] == first["filename"]
    assert {name: first[name] for name in ("seed", "width", "height", "model", "adapters")} == {
        "seed": 8, "width": 320, "height": 192, "model": "sdxl-base", "adapters": ["style-anime"],
    }  # fmt: skip
    assert len(first["prompt"]) == 300
    assert len(client.get("/gallery").content) < 1600


def test_pages_follow_each_other_without_a_gap(client: TestClient, service: Service) -> None:
    files = [file for _ in range(3) for file in make(client, service, num_images=3)]
    found, before = [], ""
    while before is not None:
        page = client.get(f"/gallery?limit=4{before and f'&before={before}'}").json()
        found += [image["filename"] for image in page["images"]]
        before = page["next"]
    assert found == files[::-1]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("search=APPLE+red", 1),
        ("search=%25", 0),
        ("search=pear", 0),
        ("model=pony-xl-v6", 0),
        ("model=sdxl-base&adapter=style-anime&search=", 1),
        ("adapter=style", 0),
        ("before=0-0", 0),
        ("before=9999999999-99", 1),
    ],
)
def test_images_are_searched(client: TestClient, service: Service, query: str, count: int) -> None:
    make(client, service, loras=[{"name": "style-anime"}])
    assert len(client.get(f"/gallery?{query}").json()["images"]) == count


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("before=x", "before"),
        ("before=99999999999-1", "before"),
        ("search=a%00b", "search"),
        ("search=" + "x" * 301, "search"),
        ("model=", "model"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(client: TestClient, query: str, field: str) -> None:
    answer = client.get(f"/gallery?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_who_has_a_thumbnail_is_not_sent_it_again(client: TestClient, service: Service) -> None:
    (file,) = make(client, service)
    url = f"/outputs/{file}/thumbnail"
    first = client.get(url)
    assert client.get(url, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert client.get(url).content == first.content
    other = client.get(f"{url}?size=128")
    assert Image.open(io.BytesIO(other.content)).size == (128, 77)
    assert other.headers["etag"] != first.headers["etag"]
    assert client.get(f"{url}?size=1000").status_code == 422
    assert client.get("/outputs/nowhere.png/thumbnail").json()["code"] == "unknown-output"


def test_a_deleted_image_is_gone_and_says_so(client: TestClient, service: Service) -> None:
    kept, deleted = make(client, service, num_images=2)
    assert client.get(f"/outputs/{deleted}/thumbnail").status_code == 200
    assert client.delete(f"/outputs/{deleted}").status_code == 204
    for gone in (
        client.get(f"/outputs/{deleted}"),
        client.get(f"/outputs/{deleted}/thumbnail"),
        client.delete(f"/outputs/{deleted}"),
    ):
        assert (gone.status_code, gone.json()["code"]) == (404, "unknown-output")
        assert "was deleted" in gone.json()["detail"]
        assert "replay" in gone.json()["remedy"]
    (left,) = client.get("/gallery").json()["images"]
    assert left["filename"] == kept
    manifests = client.get(f"/jobs/{left['job_id']}/manifests").json()["manifests"]
    assert len(manifests) == 2


def test_an_image_whose_job_is_forgotten_can_be_deleted(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    file = tmp_path / "outputs" / "sdxl-base_20250101_120000_0123abcd.png"
    file.write_bytes(saved(plain(64, 64)))
    assert client.delete(f"/outputs/{file.name}").status_code == 204
    assert not file.exists()
    assert client.delete(f"/outputs/{file.name}").status_code == 404


@pytest.mark.parametrize("name", ["..%2fjobs.db", "%2e%2e%2fjobs.db", "jobs.db", "a%00b.png", ".hidden.png"])
def test_no_other_file_is_deleted_or_shown_small(client: TestClient, tmp_path: Path, name: str) -> None:
    for answer in (client.delete(f"/outputs/{name}"), client.get(f"/outputs/{name}/thumbnail")):
        assert answer.status_code in (404, 405)
    assert (tmp_path / "jobs.db").is_file()


def test_an_image_is_read_and_nothing_is_queued_or_kept(
    client: TestClient, service: Service, tmp_path: Path
) -> None:
    (file,) = make(client, service, seed=7, steps=12)
    answer = client.post("/read-image", files={"file": ("x.png", client.get(f"/outputs/{file}").content)})
    told = answer.json()
    assert (answer.status_code, told["made_by"], told["format"], told["notes"]) == (200, "ecurie", "png", [])
    assert (told["width"], told["height"], told["request"]["steps"], told["request"]["seed"]) == (
        320,
        192,
        12,
        7,
    )
    assert len(client.get("/jobs").json()["jobs"]) == 1
    assert not (tmp_path / "uploads").exists()
    assert client.post("/generate", json=told["request"]).status_code == 202


def test_an_image_that_tells_nothing_and_no_image(client: TestClient) -> None:
    plainly = client.post("/read-image", content=saved(plain(64, 48))).json()
    assert (plainly["made_by"], plainly["request"], plainly["notes"]) == (None, {}, [])
    svg = client.post("/read-image", content=b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert (svg.status_code, svg.json()["field"]) == (422, "image")
    large = client.post("/read-image", content=saved(plain(64, 48)) + b"\0" * UPLOADS.bytes)
    assert large.status_code == 413
