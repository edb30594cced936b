"""How workers hear of new jobs. A ring is never needed for a job to be right or kept: it saves waiting.

The job table is the truth. A worker that hears a ring claims from the table what is due next, whatever
the ring was for; so a ring that comes twice, late or never changes nothing but the time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import sqlalchemy as sql

from ecurie.domain import JobState
from ecurie.jobs.store import JobStore
from ecurie.jobs.table import jobs

UNHEARD_SECONDS = 5.0
"""A ring should have been heard after this time, if a worker was idle."""


@dataclass(frozen=True, slots=True)
class Ring:
    """What a ring says: a job, and its model, which decides who hears it."""

    job_id: str
    model: str


class Doorbell(Protocol):
    def ring(self, rings: Iterable[Ring]) -> None:
        """Returns at once and raises nothing: the jobs are stored, whatever becomes of the ring."""

    def close(self) -> None: ...


class NoBell:
    """For workers that look at the table themselves, every 20 ms."""

    def ring(self, rings: Iterable[Ring]) -> None:
        pass

    def close(self) -> None:
        pass


def ring_again(store: JobStore, bell: Doorbell) -> None:
    """Wake each worker that is idle while a job waits for it: its ring was lost, or nobody was there to
    hear it. A ring for each idle worker at most, so a long queue or a dead broker is not flooded."""
    idle = [worker for worker in store.workers.present() if worker.idle and worker.rung_for]
    overdue = time.time() - UNHEARD_SECONDS
    rings = (_first_waiting(store, worker.rung_for or (), overdue) for worker in idle)
    bell.ring([ring for ring in rings if ring is not None])


def _first_waiting(store: JobStore, models: tuple[str, ...], since: float) -> Ring | None:
    query = (
        sql.select(jobs.c.id, jobs.c.model)
        .where(jobs.c.state == JobState.QUEUED, jobs.c.model.in_(models), jobs.c.created_at <= since)
        .order_by(jobs.c.priority.desc(), jobs.c.turn, jobs.c.seq)
        .limit(1)
    )
    with store.database.connect() as connection:
        row = connection.execute(query).first()
    return None if row is None else Ring(*row)
