"""What the table tells about when jobs start and end, read at most once a second for everyone who asks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import sqlalchemy as sql

from ecurie.domain import HELD_STATES, Job, JobState
from ecurie.errors import StoreUnavailable
from ecurie.jobs.database import client_connection
from ecurie.jobs.estimates import Ended, Outlook, Queued, Running, Times, foresee, measure
from ecurie.jobs.schedule import Held, Waiting
from ecurie.jobs.table import jobs

PLAYED_THROUGH = 300
MEASURED_JOBS = 50
FRESH_SECONDS = 1.0
DOWNLOADING = "downloading"
LARGEST_SHARE = 0.05
"""Of a core's time that reading and playing through may take."""


class Forecasts:
    """`workers` names those that are ready now; `max_overtake` is the scheduler's."""

    def __init__(self, database: sql.Engine, workers: Callable[[], Iterable[str]], max_overtake: float):
        self._database, self._workers, self._max_overtake = database, workers, max_overtake
        self._lock = threading.Lock()
        self._outlook = Outlook({}, (), None, 0.0)
        self._look_at = self._look_again_at = 0.0

    def of(self, job: Job) -> Times:
        """When a job that has not ended will start and end, as far as that is known."""
        if job.state.ended:
            return Times()
        times = self._times(job)
        if job.state is JobState.QUEUED:
            start = None if times.start is None else max(times.start, time.time())
            return Times(start, times.end)
        return Times(None, None if times.end is None else max(times.end, time.time()))

    def _times(self, job: Job) -> Times:
        """Looks at the table again when the last look is old, or too old to know the job."""
        with self._lock:
            now = time.monotonic()
            known = job.id in self._outlook.times
            behind = (job.queue_position or 0) > PLAYED_THROUGH
            if now >= (self._look_again_at if known or behind else self._look_at):
                # While the store does not answer, what was known stands.
                with suppress(StoreUnavailable):
                    self._outlook = self._look()
                cost = time.monotonic() - now
                self._look_at = now + cost / LARGEST_SHARE
                self._look_again_at = now + max(FRESH_SECONDS, cost / LARGEST_SHARE)
            outlook = self._outlook
        if behind:
            return outlook.times.get(job.id) or outlook.behind(job.queue_position or 0)
        return outlook.times.get(job.id, Times())

    def _look(self) -> Outlook:
        with client_connection(self._database) as connection:
            ended, running, queued = _ended(connection), _running(connection), _queued(connection)
        held: dict[str, Held] = {name: Held() for name in self._workers()}
        for job in ended:
            if job.worker in held:
                held[job.worker] = held[job.worker].after(job.model, job.stack, job.started_at)
        return foresee(queued, running, held, measure(ended), time.time(), self._max_overtake)


def _ended(connection: sql.Connection) -> list[Ended]:
    """The last ones that succeeded, oldest first."""
    columns = (
        jobs.c.worker, jobs.c.model, jobs.c.stack, jobs.c.total,
        jobs.c.started_at, jobs.c.finished_at, jobs.c.result,
    )  # fmt: skip
    query = (
        sql.select(*columns)
        # The first two conditions are those of an index.
        .where(
            jobs.c.outputs_removed.is_(False),
            jobs.c.finished_at.is_not(None),
            jobs.c.state == JobState.SUCCEEDED,
        )
        .order_by(jobs.c.finished_at.desc())
        .limit(MEASURED_JOBS)
    )
    return [_measured(row) for row in reversed(connection.execute(query).all())]


def _measured(row: Any) -> Ended:
    timings = json.loads(row.result)["timings"]
    switch, denoise, after = timings["switch"], timings["denoise"], timings["decode"] + timings["save"]
    before = row.finished_at - row.started_at - switch - denoise - after
    return Ended(
        row.worker, row.model, row.stack, row.total, row.started_at, max(0.0, before), switch, denoise, after
    )


def _running(connection: sql.Connection) -> list[Running]:
    columns = (
        jobs.c.id, jobs.c.worker, jobs.c.model, jobs.c.stack, jobs.c.step, jobs.c.total,
        jobs.c.started_at, jobs.c.drawing_at, jobs.c.phase == DOWNLOADING,
    )  # fmt: skip
    return [Running(*row) for row in connection.execute(sql.select(*columns).where(_in(*HELD_STATES)))]


def _queued(connection: sql.Connection) -> list[Queued]:
    columns = (
        jobs.c.total, jobs.c.id, jobs.c.seq, jobs.c.priority, jobs.c.model, jobs.c.stack,
        jobs.c.overtaken_at, jobs.c.turn,
    )  # fmt: skip
    query = (
        sql.select(*columns)
        .where(_in(JobState.QUEUED))
        .order_by(jobs.c.priority.desc(), jobs.c.turn, jobs.c.seq)
        .limit(PLAYED_THROUGH)
    )
    return [Queued(Waiting(*rest), steps) for steps, *rest in connection.execute(query)]


def _in(*states: JobState) -> sql.ColumnElement[bool]:
    return jobs.c.state.in_(states)
