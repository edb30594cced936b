"""Turns: the order of waiting jobs, fair among their owners.

A job gets its turn when it is queued, in denoising steps: where its owner's last job of the class ends, but
not before the turn that the queue has come to. Waiting jobs go by turn, then by arrival. So the k-th step
that one owner waits for competes with the k-th of every other, however many jobs each has. This is start-time
fair queueing (Goyal, Vin and Cheng, 1996), with the steps of a job as its length.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

import sqlalchemy as sql

from ecurie.domain import HELD_STATES, JobState
from ecurie.jobs.table import NOT_CANCELLED, jobs

SERVED_STATES = (*sorted(HELD_STATES), JobState.SUCCEEDED, JobState.FAILED)


def turns_from(first: int, lengths: Iterable[int]) -> list[int]:
    """Of an owner's jobs one after the other; `lengths` in steps."""
    return list(accumulate(lengths, initial=first))[:-1]


def first_turn(connection: sql.Connection, owner: str, priority: int) -> int:
    """Of a job that is queued now."""
    return max(_come_to(connection, priority), _end_of(connection, owner, priority))


def _come_to(connection: sql.Connection, priority: int) -> int:
    """The first turn that waits; when none does, the last that was served, so that who comes next does not
    overtake those with a turn already for long."""
    waiting = _of(JobState.QUEUED, priority, sql.func.min(jobs.c.turn))
    first: int | None = connection.execute(waiting).scalar()
    if first is None:
        served = sql.union_all(
            *(_of(state, priority, sql.func.max(jobs.c.turn).label("turn")) for state in SERVED_STATES)
        ).subquery()
        first = connection.execute(sql.select(sql.func.max(served.c.turn))).scalar()
    return first or 0


def _of(state: JobState, priority: int, turn: sql.ColumnElement[int]) -> sql.Select[int]:
    return sql.select(turn).where(jobs.c.state == state, jobs.c.priority == priority)


def _end_of(connection: sql.Connection, owner: str, priority: int) -> int:
    query = (
        sql.select(jobs.c.turn + jobs.c.total)
        .where(jobs.c.owner == owner, jobs.c.priority == priority, NOT_CANCELLED)
        .order_by(jobs.c.turn.desc())
        .limit(1)
    )
    return connection.execute(query).scalar() or 0
