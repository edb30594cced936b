"""Rings as Celery messages: one small JSON message for each job, in a queue of the job's model.

Celery carries the wake-up only. Its results, retries, revocations and priorities are not used: each was seen
to lose or repeat work in some fault (docs/operations.md), and the job table does all of it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterable
from contextlib import suppress

from celery import Celery
from kombu.exceptions import OperationalError

from ecurie.jobs.doorbell import Ring
from ecurie.jobs.redis_version import warn_of_old_redis

log = logging.getLogger(__name__)
TASK = "ecurie.job"
NO_MODEL_QUEUE = "ecurie"
WAITING_RINGS = 10_000
CONNECT_SECONDS = 5
SILENCE_SECONDS = 30
HOUR = 3600

SETTINGS = {
    # Nothing but JSON is read: a pickle in a message would be a program.
    "accept_content": ["json"],
    "task_serializer": "json",
    "event_serializer": "json",
    "result_accept_content": ["json"],
    "task_ignore_result": True,
    "task_default_queue": NO_MODEL_QUEUE,
    # A message belongs to its worker until its job has ended; nobody takes a second one meanwhile.
    "task_acks_late": True,
    "worker_prefetch_multiplier": 1,
    # With True, a job that runs while the broker restarts would be given up.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "broker_connection_timeout": CONNECT_SECONDS,
    # What `celery inspect`, `celery events` and Flower show.
    "worker_send_task_events": True,
    "task_send_sent_event": True,
    "worker_hijack_root_logger": False,
    "worker_redirect_stdouts": False,
}
REDIS_OPTIONS = {
    # A message whose worker died comes back after this time. A job that takes longer rings twice, which is
    # harmless: the second ring finds the job claimed. Recovery waits for the lease, which is much shorter.
    "visibility_timeout": HOUR,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    "socket_connect_timeout": CONNECT_SECONDS,
    "socket_timeout": SILENCE_SECONDS,
    "socket_keepalive": True,
}
AMQP_OPTIONS = {"confirm_publish": True}
ONCE_MORE = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
"""A connection that the broker has closed since the last ring is noticed by using it."""


def queue_of(model: str) -> str:
    return f"ecurie.{model}"


def make_app(broker_url: str) -> Celery:
    app = Celery("ecurie", broker=broker_url, set_as_current=False)
    options = REDIS_OPTIONS if broker_url.startswith("redis") else AMQP_OPTIONS
    app.conf.update(SETTINGS, broker_transport_options=options)
    return app


class CeleryBell:
    """Sends from a thread, so that a broker that hangs or is down holds up no request."""

    def __init__(self, broker_url: str):
        self._app = make_app(broker_url)
        self._rings: queue.Queue[Ring | None] = queue.Queue(WAITING_RINGS)
        self._thread = threading.Thread(target=self._send_all, name="doorbell", daemon=True)
        self._thread.start()

    def ring(self, rings: Iterable[Ring]) -> None:
        # What does not fit is rung again like any ring that was lost.
        with suppress(queue.Full):
            for ring in rings:
                self._rings.put_nowait(ring)

    def close(self) -> None:
        """What is not sent within a moment is rung again after the next start."""
        with suppress(queue.Full):
            self._rings.put_nowait(None)
        self._thread.join(1)

    def _send_all(self) -> None:
        warn_of_old_redis(self._app.conf.broker_url)
        while (ring := self._rings.get()) is not None:
            try:
                self._send(ring)
            except Exception as error:
                # Whatever it is, the thread must live; the jobs are stored.
                self._drop_all()
                log.error("the broker cannot be reached, workers will be woken later: %s", _reason(error))

    def _send(self, ring: Ring) -> None:
        self._app.send_task(
            TASK, args=[ring.job_id], queue=queue_of(ring.model), retry=True, retry_policy=ONCE_MORE
        )

    def _drop_all(self) -> None:
        """Each would wait for the broker in vain."""
        with suppress(queue.Empty):
            while (ring := self._rings.get_nowait()) is not None:
                pass
            if ring is None:
                self._rings.put_nowait(None)


def _reason(error: Exception) -> str:
    """Without the address, which may hold a password."""
    inner = error.__cause__ if isinstance(error, OperationalError) and error.__cause__ else error
    return f"{type(inner).__name__}: {inner}"
