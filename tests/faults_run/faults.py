"""Faults of one machine. The server process holds the HTTP interface and the supervisor."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.conftest import Server
from tests.faults_run.processes import kill_all, processes_of, send, wait_until_gone


@dataclass(frozen=True, slots=True)
class Machine:
    server: Server
    chance: random.Random
    lease_seconds: float


def kill_worker(machine: Machine) -> None:
    """`kill -9` of a worker, also of one that is starting."""
    _signal_worker(machine, signal.SIGKILL)


def terminate_worker(machine: Machine) -> None:
    """SIGTERM to a worker, as an operator may send it."""
    _signal_worker(machine, signal.SIGTERM)


def freeze_worker(machine: Machine) -> None:
    """SIGSTOP for up to twice the lease: some wake up in time, the others lose their job and are killed."""
    pid = _signal_worker(machine, signal.SIGSTOP)
    if pid is not None:
        seconds = machine.chance.uniform(0, 2 * machine.lease_seconds)
        wake = threading.Timer(seconds, send, (pid, signal.SIGCONT))
        wake.daemon = True
        wake.start()


def _signal_worker(machine: Machine, number: signal.Signals) -> int | None:
    pids = processes_of(machine.server.data_dir, workers_only=True)
    if not pids:
        return None
    pid = machine.chance.choice(pids)
    send(pid, number)
    return pid


def kill_server(machine: Machine) -> None:
    """`kill -9` of the server, which starts again while its old worker may still be there."""
    machine.server.process.kill()
    machine.server.process.wait()
    _start_again(machine.server)


def kill_everything(machine: Machine) -> None:
    """As a power cut does, but for the disk's cache."""
    kill_all(machine.server)
    wait_until_gone(machine.server)
    _start_again(machine.server)


def drain(machine: Machine) -> None:
    """SIGTERM to the server, and a start when it has ended."""
    machine.server.process.terminate()
    machine.server.process.wait(30)
    _start_again(machine.server)


def _start_again(server: Server) -> None:
    server.restart()
    server.wait_until(lambda: server.client.get("/healthz").status_code == 200, "up")


ONE_MACHINE: dict[str, Callable[[Machine], None]] = {
    "worker": kill_worker,
    "frozen": freeze_worker,
    "terminated": terminate_worker,
    "server": kill_server,
    "everything": kill_everything,
    "drain": drain,
}
