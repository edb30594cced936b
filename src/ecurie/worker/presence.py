"""A worker's word about itself in the store: whenever it changes, and every few seconds that it is there."""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

import ecurie
from ecurie.catalog.catalog import Catalog
from ecurie.jobs.workers import BEAT_SECONDS, WorkerRow, Workers

log = logging.getLogger(__name__)


class Presence:
    """`describe` is `Engine.describe`. `follow` says which models a worker is woken for now (None: it needs
    no waking)."""

    def __init__(
        self,
        name: str,
        workers: Workers,
        describe: Callable[[], dict[str, Any]],
        catalog: Catalog,
        follow: Callable[[], tuple[str, ...] | None] = lambda: None,
    ):
        self._workers, self._describe, self._catalog, self._follow = workers, describe, catalog, follow
        self._writing, self._done = threading.Lock(), threading.Event()
        now, memory = time.time(), describe()
        self._row = WorkerRow(
            name=name,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=ecurie.__version__,
            device=memory.pop("device"),
            dtype=memory.pop("dtype"),
            started_at=now,
            seen_at=now,
            memory=memory,
        )
        self._thread = threading.Thread(target=self._beat, name="presence", daemon=True)

    def start(self) -> None:
        self._look()
        self._thread.start()

    def tell(self, job: str | None) -> None:
        """The job that it runs now, and what is in memory: to be called by the thread that runs it."""
        memory = self._describe()
        self._write(job=job, memory={key: memory[key] for key in self._row.memory})

    def close(self) -> None:
        """It is leaving."""
        self._done.set()
        self._thread.join()
        try:
            self._workers.remove(self._row.name)
        except SQLAlchemyError as error:
            log.warning("cannot sign off: %s", error)

    def _beat(self) -> None:
        while not self._done.wait(BEAT_SECONDS):
            self._look()

    def _look(self) -> None:
        self._write(rung_for=self._follow(), on_disk=tuple(self._catalog.models_here()))

    def _write(self, **changes: Any) -> None:
        with self._writing:
            self._row = dataclasses.replace(self._row, seen_at=time.time(), **changes)
            try:
                self._workers.tell(self._row)
            except SQLAlchemyError as error:
                # A full disk, or a store that is away, must not end a job that may still succeed.
                log.error("cannot tell what is in memory: %s", error)
