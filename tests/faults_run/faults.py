"""A server of one machine, and what may happen to it. HTTP interface and supervisor are one process."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import Server, free_port
from tests.faults_run.processes import kill_all, processes_of, send, wait_until_gone

MAX_ATTEMPTS, LEASE_SECONDS = 3, 3.0
LIMITS = {"ECURIE_MAX_ATTEMPTS": str(MAX_ATTEMPTS), "ECURIE_LEASE_SECONDS": str(LEASE_SECONDS)}


class OneMachine:
    """`chance` draws what is hit, and for how long."""

    def __init__(self, server: Server, chance: random.Random):
        self.server, self.chance = server, chance
        self.store_url = f"sqlite:///{server.data_dir / 'ecurie.db'}"
        self.faults: dict[str, Callable[[], None]] = {
            "worker": lambda: self.signal_worker(signal.SIGKILL),
            "terminated": lambda: self.signal_worker(signal.SIGTERM),
            "frozen": self.freeze_worker,
            "server": self.kill_server,
            "everything": self.kill_everything,
            "drain": self.drain,
        }

    @property
    def log(self) -> str:
        """Of the server and of all workers."""
        return self.server.log

    def stop(self) -> None:
        self.server.stop()

    def freeze_worker(self) -> None:
        """SIGSTOP for up to twice the lease: some wake up in time, the others have lost their job."""
        pid = self.signal_worker(signal.SIGSTOP)
        if pid is not None:
            seconds = self.chance.uniform(0, 2 * LEASE_SECONDS)
            wake = threading.Timer(seconds, send, (pid, signal.SIGCONT))
            wake.daemon = True
            wake.start()

    def signal_worker(self, number: signal.Signals) -> int | None:
        """Also to one that is starting."""
        pids = processes_of(self.server.data_dir, workers_only=True)
        if not pids:
            return None
        pid = self.chance.choice(pids)
        send(pid, number)
        return pid

    def kill_server(self) -> None:
        """`kill -9` of the server, which starts again while its old worker may still be there."""
        self.server.process.kill()
        self.server.process.wait()
        self.start_server()

    def kill_everything(self) -> None:
        """As a power cut does, but for the disk's cache."""
        kill_all(self.server)
        wait_until_gone(self.server)
        self.start_server()

    def drain(self) -> None:
        """SIGTERM to the server, and a start when it has ended."""
        self.server.process.terminate()
        self.server.process.wait(30)
        self.start_server()

    def start_server(self) -> None:
        self.server.restart()
        self.server.wait_until(lambda: self.server.client.get("/healthz").status_code == 200, "up")


@contextmanager
def one_machine(data_dir: Path, chance: random.Random) -> Iterator[OneMachine]:
    """Every process of it is gone at the end, whatever happens."""
    server = Server(data_dir, free_port(), ["--demo"], LIMITS)
    try:
        yield OneMachine(server.wait_ready(), chance)
    finally:
        server.stop()
        kill_all(server)
