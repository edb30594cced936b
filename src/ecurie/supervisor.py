"""Keeps the worker processes of one machine alive, and gives the jobs of dead ones back to the queue."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from ecurie.jobs.locks import is_alive
from ecurie.jobs.store import JobStore
from ecurie.settings import Settings

log = logging.getLogger("ecurie.supervisor")
WATCH_SECONDS = 0.1
QUICK_DEATH_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 30.0
KILL_AFTER_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class RunningWorker:
    name: str
    process: subprocess.Popen[bytes]
    started_at: float


class Supervisor:
    """Starts `count` workers and watches them from a thread.

    A worker that dies is replaced at once; one that keeps dying young, after growing pauses.
    """

    def __init__(self, settings: Settings, store: JobStore, count: int = 1):
        self._settings, self._store, self._count = settings, store, count
        self._workers: list[RunningWorker] = []
        self._stopping = threading.Event()
        self._quick_deaths = 0
        self._start_after = 0.0
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        self._settings.workers_dir.mkdir(parents=True, exist_ok=True)
        for file in self._settings.workers_dir.iterdir():
            if file.suffix in (".json", ".partial"):
                file.unlink()
        self._thread.start()

    def begin_stop(self) -> None:
        """Ask the workers to finish or give back their job; returns at once."""
        if not self._stopping.is_set():
            self._stopping.set()
            for worker in self._workers:
                worker.process.terminate()

    def stop(self) -> None:
        """Wait for the workers at most the drain time and a little, then kill; give their jobs back."""
        self.begin_stop()
        self._thread.join()
        deadline = time.monotonic() + self._settings.drain_seconds + KILL_AFTER_SECONDS
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker %s did not stop in time and is killed", worker.name)
                worker.process.kill()
                worker.process.wait()
            self._forget(worker)
        self._sweep()

    def ready_workers(self) -> list[dict[str, str]]:
        """What each worker said of itself when it became ready."""
        found = []
        for file in sorted(self._settings.workers_dir.glob("*.json")):
            try:
                found.append({"name": file.stem, **json.loads(file.read_text())})
            except (OSError, ValueError):
                continue
        return found

    def _watch(self) -> None:
        swept_at = 0.0
        while not self._stopping.is_set():
            try:
                if self._replace_dead() or time.monotonic() - swept_at >= 1:
                    self._sweep()
                    swept_at = time.monotonic()
            except Exception:
                # The watch must outlive any fault of the store or the disk; it tries again.
                log.exception("supervision failed for now")
            self._stopping.wait(WATCH_SECONDS)

    def _replace_dead(self) -> bool:
        """Whether a worker has died since the last look."""
        died = [worker for worker in self._workers if worker.process.poll() is not None]
        for worker in died:
            lived = time.monotonic() - worker.started_at
            log.error("worker %s ended with status %s", worker.name, worker.process.returncode)
            self._workers.remove(worker)
            self._forget(worker)
            self._quick_deaths = self._quick_deaths + 1 if lived < QUICK_DEATH_SECONDS else 0
            pause = 0.0 if self._quick_deaths < 3 else 2.0 ** (self._quick_deaths - 3)
            self._start_after = time.monotonic() + min(pause, LONGEST_PAUSE_SECONDS)
        while len(self._workers) < self._count and time.monotonic() >= self._start_after:
            self._workers.append(self._start_worker())
        return bool(died)

    def _start_worker(self) -> RunningWorker:
        name = f"worker-{uuid.uuid4().hex[:8]}"
        process = subprocess.Popen(
            [sys.executable, "-m", "ecurie.worker", name],
            env={**os.environ, **self._settings.as_environment()},
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        log.info("worker %s started (process %d)", name, process.pid)
        return RunningWorker(name, process, time.monotonic())

    def _lock_file(self, name: str) -> Path:
        return self._settings.workers_dir / f"{name}.lock"

    def _forget(self, worker: RunningWorker) -> None:
        self._lock_file(worker.name).unlink(missing_ok=True)
        (self._settings.workers_dir / f"{worker.name}.json").unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Take jobs from workers that are dead or whose lease has run out."""
        now = time.time()
        for held in self._store.held():
            alive = is_alive(self._lock_file(held.worker))
            if alive and held.lease_until >= now:
                continue
            log.warning("job %s taken from %s worker %s", held.id, "silent" if alive else "dead", held.worker)
            self._store.reap(held, self._settings.max_attempts)
            for worker in self._workers:
                if alive and worker.name == held.worker:
                    worker.process.send_signal(signal.SIGKILL)
