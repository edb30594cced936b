"""Figures of all jobs, for operators: what is counted, and what waits now.

A run is counted in the transaction that ends it, so each is counted once, whichever process dies or is asked;
counters go on growing when every process is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from ecurie.domain import JobState
from ecurie.jobs.counting import Counts, Series
from ecurie.jobs.database import client_connection, transaction
from ecurie.jobs.table import figures, jobs


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs of one model and priority in the queue; `oldest` came then, in seconds since 1970."""

    model: str
    priority: int
    count: int
    oldest: float


def _adding(dialect: Any) -> Any:
    first = dialect.insert(figures)
    return first.on_conflict_do_update(
        index_elements=[figures.c.name, figures.c.labels],
        set_={"value": figures.c.value + first.excluded.value},
    )


# One row each, so that the statement is put together once: one of all rows takes longer than its execution.
ADDING = {"postgresql": _adding(postgresql), "sqlite": _adding(sqlite)}


def count(connection: sql.Connection, counts: Counts) -> None:
    """Add to what was counted. In one order, so that two who do it at once never wait for each other."""
    rows = [
        {"name": name, "labels": labels, "value": value}
        for (name, labels), value in sorted(counts.values.items())
        if value
    ]
    if rows:
        connection.execute(ADDING[connection.dialect.name], rows)


class Figures:
    """In the database of a JobStore."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def count(self, counts: Counts) -> None:
        """What belongs to no job. Raises OperationalError."""
        with transaction(self._database) as connection:
            count(connection, counts)

    def counted(self) -> Mapping[Series, float]:
        """All that was ever counted. Raises StoreUnavailable."""
        with client_connection(self._database) as connection:
            rows = connection.execute(sql.select(figures.c.name, figures.c.labels, figures.c.value))
            return {(name, labels): value for name, labels, value in rows}

    def waiting(self) -> list[Waiting]:
        """The queue by model and priority. Raises StoreUnavailable."""
        groups = (
            # All of an index; the oldest of a group is the one that was stored first.
            sql.select(
                jobs.c.model,
                jobs.c.priority,
                sql.func.count().label("number"),
                sql.func.min(jobs.c.seq).label("first"),
            )
            .where(jobs.c.state == JobState.QUEUED)
            .group_by(jobs.c.priority, jobs.c.model)
            .subquery()
        )
        query = sql.select(groups.c.model, groups.c.priority, groups.c.number, jobs.c.created_at)
        with client_connection(self._database) as connection:
            return [
                Waiting(*row) for row in connection.execute(query.join(jobs, jobs.c.seq == groups.c.first))
            ]
