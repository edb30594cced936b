"""Redis and RabbitMQ for tests, and the processes of a cluster."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conftest import Server
from tests.services import GIVEN_AMQP, GIVEN_REDIS, ROOT, missing

SCRIPT = ROOT / "scripts" / "services.sh"
# Of a parallel run, so that its processes do not hear each other's rings.
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
INSTALLED = {"redis": ("redis-server",), "rabbitmq": ("rabbitmq-server",)}


class Services:
    """Private ones of a test, started by the script of `make services`; it may kill and restart them."""

    def __init__(self, folder: Path, names: tuple[str, ...]):
        self._folder, self._names = folder, names
        self.start()

    def start(self) -> None:
        self._script("start", *self._names)

    def _script(self, verb: str, *names: str) -> None:
        command = [SCRIPT, verb, self._folder, *names]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def url(self, name: str) -> str:
        lines = (self._folder / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)[f"ECURIE_TEST_{name}_URL"]

    def pid(self, name: str) -> int:
        return int((self._folder / f"{name}.pid").read_text().split()[0])

    def stop(self) -> None:
        self._script("stop")


@contextmanager
def private_services(folder: Path, *names: str) -> Iterator[Services]:
    for name in names:
        if not any(shutil.which(program) for program in INSTALLED[name]):
            missing(name)
    services = Services(folder, names)
    try:
        yield services
    finally:
        services.stop()


@contextmanager
def broker(name: str, folder: Path) -> Iterator[str]:
    """The URL of a place of this test process's own, at a broker that the test leaves running."""
    given = {"redis": GIVEN_REDIS, "rabbitmq": GIVEN_AMQP}[name]
    if given is not None:
        yield own_place(given)
        return
    with private_services(folder, name) as services:
        yield own_place(services.url("REDIS" if name == "redis" else "AMQP"))


def own_place(url: str) -> str:
    """A database of Redis, a virtual host of RabbitMQ (scripts/services.sh makes them)."""
    redis = url.startswith("redis")
    return urlsplit(url)._replace(path=f"/{PROCESS + 1}" if redis else f"/test-{PROCESS}").geturl()


class ClusterWorker:
    """An `ecurie worker` process of the test's own."""

    def __init__(self, server: Server, *arguments: str, **environment: str):
        self.name = f"worker-{next(NUMBERS)}"
        self.log_file = server.data_dir.with_name(f"{server.data_dir.name}-{self.name}.log")
        self._server = server
        self._command = [sys.executable, "-m", "ecurie", "worker", "--name", self.name, *arguments]
        self._environment = {**os.environ, "ECURIE_DATA_DIR": str(server.data_dir), **environment}
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("ab") as log:
            return subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_ready(self) -> ClusterWorker:
        def there() -> bool:
            assert self.process.poll() is None, self.log
            workers = self._server.client.get("/system").json()["workers"]
            return any(row["pid"] == self.process.pid for row in workers)

        self._server.wait_until(there, f"with {self.name}")
        return self

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def begin(self) -> None:
        """Starts again, under the same name."""
        self.process = self._start()

    def restart(self) -> None:
        self.begin()
        self.wait_ready()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.process.wait(30)


NUMBERS = itertools.count(1)
