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


def _of(state: str, turn: sql.ColumnElement[int]) -> sql.Select[int]:
    return sql.select(turn).where(jobs.c.state == state, jobs.c.priority == sql.bindparam("priority"))


# Put together once: this is done for each job that is accepted.
_QUEUED = sql.select(sql.func.count()).where(jobs.c.state == JobState.QUEUED)
_WAITING = _of(JobState.QUEUED, sql.func.min(jobs.c.turn))
_END_OF_OWNER = (
    sql.select(jobs.c.turn + jobs.c.total)
    .where(
        jobs.c.owner == sql.bindparam("owner"), jobs.c.priority == sql.bindparam("priority"), NOT_CANCELLED
    )
    .order_by(jobs.c.turn.desc())
    .limit(1)
)
_LOOK = sql.select(*(one.scalar_subquery() for one in (_QUEUED, _WAITING, _END_OF_OWNER)))
_SERVED = sql.union_all(*(_of(state, sql.func.max(jobs.c.turn)) for state in SERVED_STATES))


def queue_for(connection: sql.Connection, owner: str, priority: int) -> tuple[int, int]:
    """How many jobs wait, and the turn of one that is queued now.

    When none of the class waits, the queue has come to the last turn that was served: who comes next does not
    overtake those who have a turn already.
    """
    asked = {"owner": owner, "priority": priority}
    queued, waiting, end = connection.execute(_LOOK, asked).one()
    if waiting is None:
        served = connection.execute(_SERVED, {"priority": priority}).scalars()
        waiting = max((turn for turn in served if turn is not None), default=0)
    return queued, max(waiting, end or 0)
