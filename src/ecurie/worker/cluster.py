"""A worker that Celery wakes: on any machine that reaches the broker and the job table.

It is one process. Celery's consumer is its main thread, the one thread of Celery's pool draws; so `celery
inspect` is answered while a job runs.
"""

from __future__ import annotations

import logging
import os
import socket
import uuid
from typing import Any

from celery import Celery, signals
from celery.exceptions import Reject

from ecurie.bootstrap import make_catalog, make_engine, make_store, make_tracing, preloaded
from ecurie.catalog.catalog import Catalog
from ecurie.errors import SettingsError
from ecurie.jobs.celery_bell import NO_MODEL_QUEUE, TASK, make_app, queue_of
from ecurie.jobs.redis_version import warn_of_old_redis
from ecurie.logs import about, configure_logging
from ecurie.settings import Settings
from ecurie.worker.job_spans import trace_with
from ecurie.worker.loop import Worker
from ecurie.worker.presence import Presence
from ecurie.worker.stop import StopSign

log = logging.getLogger(__name__)
LONGEST_NAME = 64


class Queues:
    """The models that a worker serves, and the queues that it listens to for them."""

    def __init__(self, catalog: Catalog, only: tuple[str, ...]):
        unknown = [model for model in only if model not in catalog.models()]
        if unknown:
            raise SettingsError(
                f"--models: there is no model '{unknown[0]}'",
                remedy=f"use some of: {', '.join(sorted(catalog.models()))}",
            )
        self._catalog, self._only = catalog, only
        self._consumer: Any = None
        self.models: tuple[str, ...] = ()
        self.follow()

    def follow(self) -> tuple[str, ...]:
        """The models as they are now: those chosen, or all of the catalogue, also ones added later."""
        before, self.models = self.models, self._only or tuple(self._catalog.models())
        if self._consumer is not None:
            for model in set(self.models) - set(before):
                self._consumer.call_soon(self._consumer.add_task_queue, queue_of(model))
        return self.models

    def names(self) -> list[str]:
        return [queue_of(model) for model in self.models] or [NO_MODEL_QUEUE]

    def follow_with(self, sender: Any, **_signal: Any) -> None:
        """Celery's consumer, which is new after each loss of the broker."""
        self._consumer = sender


def run_cluster_worker(settings: Settings, broker_url: str, name: str | None, only: tuple[str, ...]) -> int:
    """Until SIGTERM; returns the exit status. `only`: the models to serve, all when empty.

    Raises SetupError, RequestError or OutOfMemory when the settings cannot work.
    """
    name = (name or f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}")[-LONGEST_NAME:]
    configure_logging(settings.log_level, settings.log_format, worker=name)
    catalog = make_catalog(settings)
    queues = Queues(catalog, only)
    warn_of_old_redis(broker_url)
    engine, store = make_engine(settings, previews=settings.previews), make_store(settings)
    for found in preloaded(settings, catalog):
        engine.preload(found.id, found.checkpoint)
    stop = StopSign(settings.drain_seconds)
    presence = Presence(name, store.workers, engine.describe, catalog, queues.follow)
    tracing = make_tracing(settings, "ecurie-worker", worker=name)
    worker = Worker(
        name,
        engine,
        store,
        settings,
        stop,
        presence.tell,
        lambda: queues.models,
        _end_hung_process,
        trace_with(tracing),
    )
    app = make_app(broker_url)
    _add_task(app, worker, stop)
    presence.start()
    log.info("worker %s: ready on %s for %s", name, engine.describe()["device"], ", ".join(queues.models))
    try:
        return _consume(app, f"{name}@{socket.gethostname()}", queues, stop)
    finally:
        presence.close()
        store.close()
        if tracing is not None:
            tracing.close()


def _add_task(app: Celery, worker: Worker, stop: StopSign) -> None:
    def answer(job_id: str) -> None:
        with about(job=job_id):
            log.info("rung for job %s", job_id)
        worker.answer()
        if stop.raised:
            # Another worker should hear this ring: what it was for may be back in the queue.
            raise Reject("the worker is stopping", requeue=True)

    app.task(name=TASK)(answer)


def _consume(app: Celery, node: str, queues: Queues, stop: StopSign) -> int:
    def begin_stop(**_signal: Any) -> None:
        stop.on_signal(0, None)

    signals.setup_logging.connect(_keep_logging)
    signals.worker_ready.connect(queues.follow_with)
    signals.worker_shutting_down.connect(begin_stop)
    consumer = app.Worker(
        hostname=node,
        pool="threads",
        concurrency=1,
        queues=queues.names(),
        loglevel="INFO",
        quiet=True,
        without_mingle=True,
        without_gossip=True,
    )
    consumer.start()
    status: int = consumer.exitcode or 0
    return status


def _end_hung_process() -> None:
    """Nobody watches over this process, and no thread of it can end another that hangs in a kernel."""
    os._exit(1)


def _keep_logging(**_signal: Any) -> None:
    """Connected, it keeps Celery from setting up logs of its own."""
