"""A server and its worker that keep images and uploads in S3-compatible storage."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ecurie.images.storage import Storage, open_storage
from tests.conftest import Server, StartServer, free_port
from tests.object_store import Bucket, new_bucket, object_store

APPLE = Path(__file__).parents[1] / "data" / "emoji" / "red-apple.png"


@pytest.fixture(scope="module")
def place(s3_endpoint: str) -> Bucket:
    return new_bucket(s3_endpoint)


@pytest.fixture(scope="module")
def remote(module_servers: StartServer, place: Bucket) -> Iterator[Server]:
    server = module_servers(**place.environment)
    yield server
    # Whatever was done with it, this machine kept nothing.
    assert not list(server.data_dir.glob("outputs*"))
    assert not list(server.data_dir.glob("uploads*"))


@pytest.fixture(scope="module")
def outputs(place: Bucket) -> Storage:
    return open_storage(place.url, place.endpoint)


def test_an_image_is_kept_in_the_bucket_and_served_from_there(remote: Server, outputs: Storage) -> None:
    job = remote.client.post("/generate?wait=60", json={"prompt": "red apple", "steps": 2, "seed": 7}).json()
    (image,) = job["result"]["images"]
    content = outputs.read(image["filename"])
    answer = remote.client.get(image["url"])
    assert (answer.status_code, answer.content) == (200, content)
    headers = answer.headers
    assert (headers["content-type"], headers["content-length"]) == ("image/png", str(len(content)))
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "private, no-cache")
    again = remote.client.get(image["url"], headers={"If-None-Match": headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    with Image.open(io.BytesIO(content)) as picture:
        assert "ecurie" in picture.info
    replayed = remote.client.post("/replay?wait=60", content=content).json()
    assert replayed["result"]["replay"]["identical_bytes"] is True
    for name in ("nope.png", "uploads", "../ecurie.db"):
        assert remote.client.get(f"/outputs/{name}").status_code == 404


def test_pictures_that_are_sent_reach_the_worker_through_the_bucket(remote: Server, outputs: Storage) -> None:
    content = APPLE.read_bytes()
    picture = remote.client.post("/images", content=content).json()
    assert remote.client.get(picture["url"]).content == content
    coded = base64.b64encode(content).decode()
    made = [
        remote.client.post("/generate?wait=60", json=BODY | {"init_image": init}).json()
        for init in (picture["id"], coded)
    ]
    names = [job["result"]["images"][0]["filename"] for job in made]
    assert outputs.read(names[0]) == outputs.read(names[1])
    onwards = remote.client.post("/generate?wait=60", json=BODY | {"init_image": names[0]}).json()
    assert onwards["state"] == "succeeded"
    looked_at = remote.client.post("/generate?wait=60", json=BODY | {"reference_images": [coded]}).json()
    assert looked_at["state"] == "succeeded", looked_at["error"]
    assert remote.client.delete(picture["url"]).status_code == 204
    assert remote.client.get(picture["url"]).status_code == 404


BODY = {"prompt": "pizza", "steps": 2, "seed": 7}


def test_a_grid_is_drawn_from_the_bucket(remote: Server) -> None:
    body = {"request": BODY, "x": {"field": "seed", "values": [1, 2]}}
    place = remote.client.post("/sweeps", json=body).headers["location"]
    remote.wait_until(lambda: remote.client.get(place).json()["state"] == "succeeded", "made")
    grid = remote.client.get(f"{place}/grid")
    with Image.open(io.BytesIO(grid.content)) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 100


def test_a_job_whose_image_cannot_be_kept_runs_again(start_server: StartServer) -> None:
    """The storage dies while a job runs, and comes back empty."""
    port = free_port()
    with object_store(port) as endpoint:
        bucket = new_bucket(endpoint)
        server = start_server(**bucket.environment)
        job_id = server.submit(steps=100)
        server.wait_for(job_id, "running")
    server.wait_until(lambda: "could not be kept" in server.log, "refused")
    answer = server.client.post("/images", content=APPLE.read_bytes())
    assert (answer.status_code, answer.json()["code"]) == (503, "storage-unavailable")
    with object_store(port) as endpoint:
        open_bucket(bucket, endpoint)
        job = server.wait_for(job_id, "succeeded", "failed")
        assert (job["state"], job["attempts"] > 1) == ("succeeded", True)
        kept = open_storage(bucket.url, endpoint)
        assert [one.name for one in kept.all()] == [job["result"]["images"][0]["filename"]]


def open_bucket(bucket: Bucket, endpoint: str) -> None:
    import s3fs

    name = bucket.url.removeprefix("s3://").partition("/")[0]
    files = s3fs.S3FileSystem(endpoint_url=endpoint)
    if not files.exists(name):
        files.mkdir(name)


def test_a_server_whose_storage_refuses_does_not_start(start_server: StartServer, place: Bucket) -> None:
    environment = place.environment | {"ECURIE_OUTPUTS_URL": "s3://no-such-bucket/images"}
    server = start_server(ready=False, **environment)
    assert server.process.wait(60) == 3
    assert "images cannot be written to s3://no-such-bucket/images" in server.log
    assert "Traceback" not in server.log
