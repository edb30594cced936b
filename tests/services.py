"""Servers that some tests need beside them: started in a folder of their own, stopped by their process id.

Where ECURIE_TEST_SERVICES=required is set, a server that is not installed is a failure, not a reason to skip.
For the tests that leave it running, ECURIE_TEST_POSTGRES_URL, ECURIE_TEST_REDIS_URL and ECURIE_TEST_AMQP_URL
name one that runs already, and so does the file that `make services` writes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]


def _given(name: str) -> str | None:
    """The URL of a service that runs: by the environment, or started by `make services` and still there."""
    variable = f"ECURIE_TEST_{name}_URL"
    written = ROOT / ".services" / "env"
    lines = written.read_text().splitlines() if written.exists() else []
    url = os.environ.get(variable) or dict(line.split("=", 1) for line in lines).get(variable)
    if url is None:
        return None
    place = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(5)
        return url if probe.connect_ex((place.hostname, place.port)) == 0 else None


# Read before tests/conftest.py clears what would change the servers.
REQUIRED = os.environ.get("ECURIE_TEST_SERVICES") == "required"
GIVEN_POSTGRES, GIVEN_REDIS, GIVEN_AMQP = map(_given, ("POSTGRES", "REDIS", "AMQP"))
START_SECONDS = 60
POSTGRES_USER = "postgres"


def missing(what: str) -> NoReturn:
    """End the test: skipped, or failed where the services are required."""
    message = f"{what} is not installed; `make services` installs it"
    if REQUIRED:
        pytest.fail(message)
    pytest.skip(message)


class PostgresServer:
    """A private PostgreSQL. Its user needs no password from this machine, but URLs carry one."""

    def __init__(self, binaries: Path, port: int):
        self._binaries, self._port = binaries, port
        self.folder = Path(tempfile.mkdtemp(prefix="ecurie-postgres-"))
        self.url = f"postgresql://{POSTGRES_USER}:secret@127.0.0.1:{port}/postgres"
        if os.geteuid() == 0:
            shutil.chown(self.folder, POSTGRES_USER, POSTGRES_USER)
        data = self.folder / "data"
        subprocess.run(
            self._as_user(
                "initdb", "-D", str(data), "-U", POSTGRES_USER, "--auth=trust", "--no-sync", "-E", "UTF8"
            ),
            check=True,
            capture_output=True,
        )
        self.process = self._start()

    def _as_user(self, program: str, *arguments: str) -> list[str]:
        """PostgreSQL refuses to run as root."""
        prefix = []
        if os.geteuid() == 0:
            user = pwd.getpwnam(POSTGRES_USER)
            prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
        return [*prefix, str(self._binaries / program), *arguments]

    def _start(self) -> subprocess.Popen[bytes]:
        options = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
        }
        given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                self._as_user("postgres", "-D", str(self.folder / "data"), *given),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )

    def wait_ready(self) -> PostgresServer:
        import psycopg

        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=5).close()
                return self
            except psycopg.OperationalError:
                log = (self.folder / "log").read_text()
                assert self.process.poll() is None, log
                assert time.monotonic() < deadline, log
                time.sleep(0.05)

    def stop(self) -> None:
        """At once: connections are cut, as when the server is restarted."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(START_SECONDS)

    def kill(self) -> None:
        """Its processes notice by themselves that the first one is gone."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.process = self._start()
        self.wait_ready()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def postgres_binaries() -> Path | None:
    """Of the newest version that Debian installed, or those on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: int(file.parts[4]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent


@contextmanager
def postgres_server(free_port: Callable[[], int]) -> Iterator[PostgresServer]:
    """One of the test's own, which it may restart."""
    binaries = postgres_binaries()
    if binaries is None:
        missing("PostgreSQL")
    server = PostgresServer(binaries, free_port())
    try:
        yield server.wait_ready()
    finally:
        server.remove()


@contextmanager
def new_database(server_url: str, template: str = "template1") -> Iterator[str]:
    """The URL of a database that exists for as long as this is open."""
    import psycopg

    name = f"ecurie_test_{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())
