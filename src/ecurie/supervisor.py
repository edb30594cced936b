"""Keeps the worker processes of one machine alive, and gives the jobs of dead ones back to the queue."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import OperationalError

from ecurie.jobs.counting import of_death
from ecurie.jobs.doorbell import UNHEARD_SECONDS, Doorbell, ring_again
from ecurie.jobs.leases import HeldJob
from ecurie.jobs.store import JobStore
from ecurie.locks import is_alive
from ecurie.logs import about

log = logging.getLogger("ecurie.supervisor")
WATCH_SECONDS = 0.1
QUICK_DEATH_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
KILL_AFTER_SECONDS = 1.5
PAUSE_AFTER_FAULT_SECONDS = 1.0
CLOCK_JUMP_SECONDS = 2.0
CANNOT_START = 3
"""A worker's exit status when its settings cannot work, so that starting it again is useless."""


@dataclass(frozen=True, slots=True)
class RunningWorker:
    name: str
    process: subprocess.Popen[bytes]
    started_at: float


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """`environments` make each worker process see the server's settings and its own; times in seconds."""

    environments: Sequence[dict[str, str]]
    folder: Path
    drain_seconds: float
    lease_seconds: float
    max_attempts: int


@dataclass(slots=True)
class Post:
    """A worker's place: who dies in it is replaced in it. `start_after` as time.monotonic tells it."""

    environment: dict[str, str]
    worker: RunningWorker | None = None
    quick_deaths: int = 0
    start_after: float = 0.0

    def vacate(self) -> None:
        """Its worker has died: the next one starts at once, or later where they keep dying young."""
        assert self.worker is not None, "only a worker that was started can die"
        lived = time.monotonic() - self.worker.started_at
        self.worker = None
        self.quick_deaths = self.quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 0
        pause = 0.0 if self.quick_deaths < 3 else 2.0 ** (self.quick_deaths - 3)
        self.start_after = time.monotonic() + min(pause, LONGEST_PAUSE_SECONDS)


class Supervisor:
    """Starts workers and watches them from a thread.

    A worker that dies is replaced at once; one that keeps dying young, after growing pauses. When a worker
    says that it cannot start with these settings, `on_setup_failure` is called instead. `discard` removes the
    images of a run that was lost.
    """

    def __init__(
        self,
        options: WorkerOptions,
        store: JobStore,
        doorbell: Doorbell,
        discard: Callable[[HeldJob], None],
        on_setup_failure: Callable[[], None],
    ):
        self._options, self._store, self._doorbell = options, store, doorbell
        self._discard, self._on_setup_failure = discard, on_setup_failure
        self._posts = [Post(environment) for environment in options.environments]
        self._stopping = threading.Event()
        self._stop_by = 0.0
        self._dead: set[str] = set()
        self._rang_at = 0.0
        self._clock_offset: float | None = None
        self._trust_leases_from = 0.0
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        folder = self._options.folder
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.lock"):
            if not is_alive(file):
                self._forget(file.stem)
        self._thread.start()

    def begin_stop(self) -> None:
        """Ask the workers to finish or give back their job; returns at once."""
        if not self._stopping.is_set():
            self._stop_by = time.monotonic() + self._options.drain_seconds + KILL_AFTER_SECONDS
            self._stopping.set()
            self._terminate()

    def _terminate(self) -> None:
        for worker in self._workers:
            worker.process.terminate()

    @property
    def _workers(self) -> list[RunningWorker]:
        return [worker for post in self._posts if (worker := post.worker) is not None]

    def stop(self) -> None:
        """Wait for the workers at most the drain time and a little, then kill; put their jobs back."""
        self.begin_stop()
        self._thread.join()
        self._terminate()
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, self._stop_by - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker %s did not stop in time and is killed", worker.name)
                worker.process.kill()
                worker.process.wait()
            self._forget(worker.name)
        names = {worker.name for worker in self._workers}
        try:
            for held in self._store.leases.held():
                if held.worker in names:
                    self._discard(held)
                    self._store.leases.return_to_queue(held)
        except OperationalError as error:
            log.error("jobs stay with their stopped workers until their lease ends: %s", error.orig)

    def _watch(self) -> None:
        swept_at = 0.0
        while not self._stopping.is_set():
            pause = WATCH_SECONDS
            try:
                if self._replace_dead() or time.monotonic() - swept_at >= 1:
                    self._sweep()
                    swept_at = time.monotonic()
            except Exception:
                # The watch must outlive any fault of the store or the disk; it tries again.
                log.exception("supervision failed for now")
                pause = PAUSE_AFTER_FAULT_SECONDS
                self._forgive_leases()
            self._stopping.wait(pause)

    def _replace_dead(self) -> bool:
        """Whether a worker has died since the last look."""
        someone_died = False
        for post in self._posts:
            worker = post.worker
            if worker is None or worker.process.poll() is None:
                continue
            someone_died = True
            post.vacate()
            self._forget(worker.name)
            if worker.process.returncode == CANNOT_START:
                self._stopping.set()
                self._on_setup_failure()
                return True
            log.error("worker %s ended with status %s", worker.name, worker.process.returncode)
            self._store.figures.count(of_death())
        for post in self._posts:
            if post.worker is None and time.monotonic() >= post.start_after:
                post.worker = self._start_worker(post.environment)
        return someone_died

    @staticmethod
    def _start_worker(environment: dict[str, str]) -> RunningWorker:
        name = f"worker-{uuid.uuid4().hex[:8]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "ecurie.worker", name],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        log.info("worker %s started (process %d)", name, process.pid)
        return RunningWorker(name, process, time.monotonic())

    def _lock_file(self, name: str) -> Path:
        return self._options.folder / f"{name}.lock"

    def _forget(self, name: str) -> None:
        """A worker of this machine that has ended."""
        self._dead.add(name)
        self._lock_file(name).unlink(missing_ok=True)
        with contextlib.suppress(OperationalError):
            # A store that cannot be written to now; the worker will be silent.
            self._store.workers.remove(name)

    def _is_dead(self, name: str) -> bool:
        """Known of workers of this data folder only: others have no lock here, and their leases tell."""
        lock = self._lock_file(name)
        return name in self._dead or (lock.exists() and not is_alive(lock))

    def _sweep(self) -> None:
        """Take jobs from workers that are dead or whose lease has run out; wake those that missed a ring."""
        now = self._store.leases.now()
        leases_count = self._leases_count(now)
        for held in self._store.leases.held():
            alive = not self._is_dead(held.worker)
            if alive and (not leases_count or held.lease_until >= now):
                continue
            with about(job=held.id, model=held.model, worker=held.worker):
                state = "silent" if alive else "dead"
                log.warning("job %s taken from %s worker %s", held.id, state, held.worker)
            if self._store.leases.reap(held, self._options.max_attempts, silent=alive):
                self._kill(held.worker)
                self._discard(held)
                self._rang_at = 0.0
        self._store.leases.forget_previews()
        if time.monotonic() - self._rang_at >= UNHEARD_SECONDS:
            self._rang_at = time.monotonic()
            ring_again(self._store, self._doorbell)
        self._store.workers.remove_silent()

    def _kill(self, name: str) -> None:
        for worker in self._workers:
            if worker.name == name:
                worker.process.kill()

    def _leases_count(self, now: float) -> bool:
        """False for one lease after the database's clock jumped, as when a suspended laptop wakes, and after
        the store was away."""
        offset = now - time.monotonic()
        if self._clock_offset is not None and abs(offset - self._clock_offset) > CLOCK_JUMP_SECONDS:
            self._forgive_leases()
        self._clock_offset = offset
        return time.monotonic() >= self._trust_leases_from

    def _forgive_leases(self) -> None:
        """Healthy workers need a moment to renew them."""
        self._trust_leases_from = time.monotonic() + self._options.lease_seconds
