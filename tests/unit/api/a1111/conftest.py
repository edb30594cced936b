"""The application in this process, with a worker of the test's own that paints instead of drawing."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from PIL import Image
from starlette.testclient import TestClient

from ecurie.api.app import create_app
from ecurie.catalog.catalog import Catalog
from ecurie.domain import JobResult, JobState, Setup, Timings
from ecurie.images.files import OutputFolder
from ecurie.jobs.claims import Claim
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore
from ecurie.jobs.table import jobs
from ecurie.service import Service
from tests.unit.api.serving import UPLOADS, make_service

CATALOGUE = """
defaults: {model: base}
models:
  base: {name: The base, source: "demo:sdxl-base", clip_skip: 1, default_negative: ugly}
  pony: {name: The pony, source: "demo:pony-xl-v6.safetensors", base: base, clip_skip: 2}
adapters:
  ink: {name: Ink, source: "demo:adapters/ink-sketch.safetensors"}
  anime: {name: Anime, source: "demo:adapters/style-anime.safetensors"}
"""
SETUP = Setup("cpu", "float32", "EulerDiscreteScheduler", {})
SECONDS = 60.0


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the newest tables: to copy it is faster than to migrate each test's."""
    file = tmp_path_factory.mktemp("database") / "jobs.db"
    JobStore(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def service(tmp_path: Path, empty_database: Path) -> Iterator[Service]:
    file = tmp_path / "ecurie.yaml"
    file.write_text(CATALOGUE)
    shutil.copyfile(empty_database, tmp_path / "jobs.db")
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield make_service(Catalog(file, tmp_path / "models"), store, tmp_path)
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
        max_body_bytes=100_000,
        max_upload_bytes=UPLOADS.bytes,
    )
    with TestClient(app, base_url="http://localhost:8009", raise_server_exceptions=False) as made:
        yield made


def take(service: Service, seconds: float = SECONDS) -> Claim:
    """The next job, as soon as there is one."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        claim = service.store.claims.take("painter", Held(), lease_seconds=600, max_overtake=60)
        if claim is not None:
            return claim
        time.sleep(0.005)
    raise AssertionError("no job came")


def paint(service: Service, claim: Claim) -> None:
    """End a job with pictures of one colour, which the seed tells."""
    job = claim.job
    outputs = OutputFolder(service.outputs, job.id, job.created_at, attempt=claim.attempt)
    size = job.request.final_size
    images = tuple(
        outputs.save(
            Image.new("RGB", size, (job.request.seed_of(index) % 256, 0, 0)), job.request, index, SETUP
        )
        for index in range(job.request.num_images)
    )
    service.store.claims.succeed(claim, JobResult(images, SETUP, Timings()))


@pytest.fixture
def painter(service: Service) -> Iterator[list[Claim]]:
    """A worker that paints all jobs; what it has painted."""
    painted: list[Claim] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            claim = service.store.claims.take("painter", Held(), lease_seconds=600, max_overtake=60)
            if claim is None:
                ended.wait(0.005)
            else:
                paint(service, claim)
                painted.append(claim)

    thread = threading.Thread(target=work)
    thread.start()
    yield painted
    ended.set()
    thread.join()


@pytest.fixture
def asking(client: TestClient, service: Service) -> Iterator[Callable[..., Future[Response]]]:
    """Sends a request to `/sdapi/v1/…` beside the test."""
    with ThreadPoolExecutor() as pool:

        def ask(path: str, **body: Any) -> Future[Response]:
            return pool.submit(client.post, f"/sdapi/v1/{path}", json={"prompt": "red apple", **body})

        yield ask
        # A test that has failed half-way must not leave requests that wait for ever.
        query = jobs.update().where(jobs.c.finished_at.is_(None))
        with service.store.database.connect() as connection:
            connection.execute(query.values(state=JobState.CANCELLED, finished_at=time.time()))
