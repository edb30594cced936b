"""Fixtures: the bundled demo model, and real server processes on free ports."""

from __future__ import annotations

import gc
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from tests.services import GIVEN_POSTGRES, postgres_server

if TYPE_CHECKING:
    from tests.object_store import Bucket

# On the demo's tiny tensors one thread is twice as fast as two, and server processes run beside the tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What the tests themselves are told; everything else of ours in the environment would change the servers.
FUZZ_SECONDS = float(os.environ.get("ECURIE_FUZZ_SECONDS", "3"))
FUZZ_SEED = int(os.environ["ECURIE_FUZZ_SEED"]) if "ECURIE_FUZZ_SEED" in os.environ else None
PAGE_PICTURES = os.environ.get("ECURIE_PAGE_PICTURES")
for name in [name for name in os.environ if name.startswith("ECURIE_")]:
    del os.environ[name]


# What imports make stays for good: garbage collection need not look through it, now or when a model leaves.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


DEMO_FOLDER = Path(__file__).parents[1] / "src" / "ecurie" / "demo_models" / "sdxl-base"
READY_SECONDS = 90


# Below the ports that systems give to clients; each process of a parallel run begins elsewhere.
PORTS = itertools.cycle(range(20_000, 30_000))
for _ in range(os.getpid() * 97 % 10_000):
    next(PORTS)


def free_port() -> int:
    """A port that nobody listens on and that this process did not hand out before."""
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("the ports never end")


class Server:
    """An `ecurie serve` process of the test's own."""

    def __init__(self, data_dir: Path, port: int, arguments: list[str], environment: dict[str, str]):
        self.data_dir, self.port = data_dir, port
        self.log_file = data_dir.with_name(f"{data_dir.name}-{port}.log")
        self.url = f"http://localhost:{port}"
        self._arguments, self._environment = arguments, environment
        self.client = httpx2.Client(base_url=self.url, timeout=120, trust_env=False)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "ecurie", "serve", "--port", str(self.port), *self._arguments],
                env={**os.environ, "ECURIE_DATA_DIR": str(self.data_dir), **self._environment},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def restart(self) -> None:
        self.process = self._start()

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_until(self, condition: Callable[[], Any], what: str, seconds: float = READY_SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if value := condition():
                    return value
            except httpx2.TransportError:
                pass
            assert self.process.poll() is None, self.log
            time.sleep(0.05)
        raise AssertionError(f"not {what} within {seconds} s:\n{self.log}")

    def wait_ready(self) -> Server:
        self.wait_until(lambda: self.client.get("/readyz").status_code == 200, "ready")
        return self

    def worker_pid(self) -> int:
        workers = self.wait_until(lambda: self.client.get("/system").json()["workers"], "with a worker")
        pid: int = workers[0]["pid"]
        return pid

    def submit(self, **fields: Any) -> str:
        answer = self.client.post("/generate", json={"prompt": "red apple", **fields})
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["id"]
        return job_id

    def job(self, job_id: str) -> dict[str, Any]:
        content: dict[str, Any] = self.client.get(f"/jobs/{job_id}").json()
        return content

    def wait_for(self, job_id: str, *states: str) -> dict[str, Any]:
        def found() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] in states else None

        job: dict[str, Any] = self.wait_until(found, f"job {' or '.join(states)}")
        return job

    def stop(self) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


StartServer = Callable[..., Server]


@contextmanager
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """What starts servers, of the demo models if not told otherwise; all are stopped at the end."""
    started: list[Server] = []

    def start(
        *arguments: str,
        data_dir: Path | None = None,
        demo: bool = True,
        ready: bool = True,
        **environment: str,
    ) -> Server:
        folder = data_dir or tmp_path_factory.mktemp("data")
        server = Server(folder, free_port(), [*(["--demo"] if demo else []), *arguments], environment)
        started.append(server)
        return server.wait_ready() if ready else server

    try:
        yield start
    finally:
        for server in started:
            server.stop()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server, in each process of a parallel run, for the tests that leave it running."""
    if GIVEN_POSTGRES is not None:
        yield GIVEN_POSTGRES
        return
    with postgres_server(free_port) as started:
        yield started.url


@pytest.fixture(scope="module")
def module_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    with servers(tmp_path_factory) as start:
        yield start


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    with servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server, in each process of a parallel run, for the tests that leave it as they found it."""
    with servers(tmp_path_factory) as start:
        yield start()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """An S3-compatible server of this process."""
    from tests.object_store import object_store

    with object_store() as endpoint:
        yield endpoint


@pytest.fixture
def bucket(s3_endpoint: str) -> Bucket:
    from tests.object_store import new_bucket

    return new_bucket(s3_endpoint)
