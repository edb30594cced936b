"""The sweeper's side of the job table: jobs in the hands of workers that may be dead."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from ecurie.domain import HELD_STATES, JobFailure, JobState
from ecurie.errors import WorkerDied
from ecurie.jobs import counting
from ecurie.jobs.claims import QUEUED_AGAIN, held_by
from ecurie.jobs.clock import database_time
from ecurie.jobs.counting import Counts
from ecurie.jobs.database import transaction
from ecurie.jobs.figures import count
from ecurie.jobs.previews import forget_all_but_running
from ecurie.jobs.rows import to_json
from ecurie.jobs.table import jobs


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job in a worker's hands, as the sweeper sees it; its lease ends at a time of the database's clock."""

    id: str
    worker: str
    attempt: int
    lease_until: float
    model: str


class Leases:
    """In the database of a JobStore."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def now(self) -> float:
        """By the database's clock, in seconds since 1970."""
        with self._database.connect() as connection:
            now: float = connection.execute(sql.select(database_time())).scalar_one()
            return now

    def held(self) -> list[HeldJob]:
        columns = (jobs.c.id, jobs.c.worker, jobs.c.attempts, jobs.c.lease_until, jobs.c.model)
        query = sql.select(*columns).where(jobs.c.state.in_(HELD_STATES))
        with self._database.connect() as connection:
            return [HeldJob(*row) for row in connection.execute(query)]

    def reap(self, held: HeldJob, max_attempts: int, *, silent: bool = False) -> bool:
        """Take a job from a dead worker: queue it again, or end it if asked for or tried enough.

        `silent`: the worker may live, but its lease has ended.

        False when the job is no longer in these hands, so that nothing was changed.
        """
        mine = held_by(held.id, held.worker, held.attempt)
        died = JobFailure.of(
            WorkerDied(
                f"the worker died {held.attempt} times while running this job",
                remedy="see the server's log; the job may need more memory than there is",
            )
        )
        values: Mapping[str, Any]
        now = {"finished_at": time.time(), "lease_until": None}
        reason = "silent" if silent else "dead"
        cancelled = {"state": JobState.CANCELLED, "phase": "cancelled", **now}
        counts = counting.of_cancelling(held.model, lost=reason)
        if self._take([*mine, jobs.c.cancel_requested], counts, cancelled):
            return True
        if held.attempt >= max_attempts:
            counts = counting.of_failure(held.model, died, lost=reason)
            values = {"state": JobState.FAILED, "phase": "failed", "failure": to_json(died), **now}
        else:
            counts, values = counting.of_return(held.model, reason), QUEUED_AGAIN
        # One that is cancelled at this very moment is taken the next time.
        return self._take([*mine, ~jobs.c.cancel_requested], counts, values)

    def _take(
        self, mine: Sequence[sql.ColumnElement[bool]], counts: Counts, values: Mapping[str, Any]
    ) -> bool:
        with transaction(self._database) as connection:
            taken = connection.execute(sql.update(jobs).where(*mine).values(**values)).rowcount == 1
            if taken:
                count(connection, counts)
            return taken

    def forget_previews(self) -> None:
        """Of jobs that do not run: workers that died left them."""
        with self._database.connect() as connection:
            forget_all_but_running(connection)

    def return_to_queue(self, held: HeldJob) -> None:
        """Queue a job again whose worker was stopped in the middle of it; the run costs no attempt."""
        mine = held_by(held.id, held.worker, held.attempt)
        self._take(
            mine,
            counting.of_return(held.model, "interrupted"),
            {**QUEUED_AGAIN, "attempts": jobs.c.attempts - 1},
        )
