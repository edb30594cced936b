"""What a key may use: requests a minute, counted here; jobs that wait and pixels a day, counted from the jobs
in the table, so that no restart forgets them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sql
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from ecurie.domain import Caller, JobState
from ecurie.errors import LimitReached
from ecurie.jobs.database import client_connection
from ecurie.jobs.table import OWNED, jobs

DAY = 24 * 60 * 60.0
WAIT_SECONDS = 10
"""To ask again where jobs wait: nobody knows to the second when one will start."""
QUEUE_LOCK = 0xEC1
"""Names the lock for which API processes wait that share a PostgreSQL."""


class Rates:
    """Within any minute, not from one full minute to the next. Of this process."""

    def __init__(self, wrong_keys_per_minute: int):
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._wrong_keys = RateLimitItemPerMinute(wrong_keys_per_minute)

    def count_request(self, caller: Caller) -> None:
        """Raises LimitReached, and does not count then."""
        most = caller.allowance.requests_per_minute
        if most is None:
            return
        item = RateLimitItemPerMinute(most)
        if not self._limiter.hit(item, "requests", caller.owner):
            wait = self._wait(item, "requests", caller.owner)
            raise LimitReached(f"this API key may send {most} requests a minute", retry_after=wait)

    def note_wrong_key(self, client: str) -> None:
        self._limiter.hit(self._wrong_keys, "wrong keys", client)

    def lock_out(self, client: str) -> int | None:
        """Seconds for which this client has sent too many wrong keys, or None."""
        if self._limiter.test(self._wrong_keys, "wrong keys", client):
            return None
        return self._wait(self._wrong_keys, "wrong keys", client)

    def _wait(self, item: RateLimitItemPerMinute, *of: str) -> int:
        ends = self._limiter.get_window_stats(item, *of).reset_time
        return max(1, math.ceil(ends - time.time()))


class Quotas:
    """In the database of a JobStore."""

    def __init__(self, database: sql.Engine):
        self._database = database
        self._one_at_a_time = threading.Lock()

    @contextmanager
    def room_for(self, caller: Caller, count: int, pixels: int) -> Iterator[None]:
        """Within, the caller's so many jobs, of so many pixels in all, may be stored; of two requests at once
        only one may take what is left, also where several API processes share the database.

        Raises LimitReached or StoreUnavailable.
        """
        allowance = caller.allowance
        if allowance.queued_jobs is None and allowance.pixels_per_day is None:
            yield
            return
        with self._one_at_a_time, client_connection(self._database) as connection, _lock(connection):
            if allowance.queued_jobs is not None:
                _check_queue(connection, caller.owner, count, allowance.queued_jobs)
            if allowance.pixels_per_day is not None:
                _check_day(connection, caller.owner, pixels, allowance.pixels_per_day)
            yield


@contextmanager
def _lock(connection: sql.Connection) -> Iterator[None]:
    """SQLite has one API process, whose own lock is enough."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(sql.select(sql.func.pg_advisory_lock(QUEUE_LOCK)))
    try:
        yield
    finally:
        connection.execute(sql.select(sql.func.pg_advisory_unlock(QUEUE_LOCK)))


def _check_queue(connection: sql.Connection, owner: str, count: int, most: int) -> None:
    query = sql.select(sql.func.count()).where(jobs.c.state == JobState.QUEUED, jobs.c.owner == owner)
    queued = connection.execute(query).scalar_one()
    if queued + count > most:
        raise LimitReached(
            f"this API key may have {most} jobs waiting; {queued} are, and {count} would come",
            retry_after=WAIT_SECONDS,
            remedy="try again when some have started",
        )


def _check_day(connection: sql.Connection, owner: str, pixels: int, most: int) -> None:
    """Every job counts for a day from when it was sent, unless it was cancelled before it began."""
    now = time.time()
    cancelled_unseen = sql.and_(jobs.c.state == JobState.CANCELLED, jobs.c.started_at.is_(None))
    counts = jobs.c.owner == owner, OWNED, jobs.c.created_at > now - DAY, ~cancelled_unseen
    used = int(connection.execute(sql.select(sql.func.sum(jobs.c.pixels)).where(*counts)).scalar() or 0)
    too_many = used + pixels - most
    if too_many <= 0:
        return
    told = f"this API key may draw {most:,} pixels a day; {used:,} are used, and {pixels:,} would come"
    if pixels > most:
        raise LimitReached(told, retry_after=int(DAY), remedy="ask for fewer or smaller images")
    sent = sql.select(jobs.c.created_at, jobs.c.pixels).where(*counts).order_by(jobs.c.created_at)
    for created_at, freed in connection.execute(sent):
        too_many -= freed
        if too_many <= 0:
            raise LimitReached(told, retry_after=max(1, math.ceil(created_at + DAY - now)))
    # One was cancelled between the two looks.
    raise LimitReached(told, retry_after=1)
