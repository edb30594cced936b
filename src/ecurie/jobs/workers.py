"""Who works: each worker's own word about itself, on this machine or another."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sql

from ecurie.jobs.clock import database_time
from ecurie.jobs.database import client_connection
from ecurie.jobs.table import workers

BEAT_SECONDS = 5.0
SILENT_SECONDS = 20.0
"""A worker that was not heard of for so long is no longer counted; it may come back."""


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """What a worker says of itself; times in seconds since 1970, `seen_at` by the database's clock.

    `memory` is `Engine.describe()` but for device and dtype: its budgets, and the models in memory. `on_disk`
    are the ids of its catalogue whose files are there. `rung_for` are the models whose jobs it must be woken
    for; None for a worker that looks at the table itself.
    """

    name: str
    host: str
    pid: int
    version: str
    device: str
    dtype: str
    started_at: float
    seen_at: float
    memory: dict[str, Any]
    on_disk: tuple[str, ...] = ()
    rung_for: tuple[str, ...] | None = None
    job: str | None = None

    @property
    def idle(self) -> bool:
        return self.job is None


class Workers:
    """In the database of a JobStore."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def tell(self, row: WorkerRow) -> None:
        """Each row has one writer, its worker."""
        values = asdict(row)
        for name in ("memory", "on_disk", "rung_for"):
            values[name] = None if values[name] is None else json.dumps(values[name])
        values["seen_at"] = database_time()
        with self._database.connect() as connection:
            known = sql.update(workers).where(workers.c.name == row.name).values(values)
            if not connection.execute(known).rowcount:
                connection.execute(workers.insert().values(values))

    def present(self) -> list[WorkerRow]:
        """Those that were heard of lately, by name. Raises StoreUnavailable."""
        query = sql.select(workers).where(_heard_of()).order_by(workers.c.name)
        with client_connection(self._database) as connection:
            return [_row_of(found) for found in connection.execute(query).mappings()]

    def names(self) -> list[str]:
        return [row.name for row in self.present()]

    def remove(self, name: str) -> None:
        with self._database.connect() as connection:
            connection.execute(sql.delete(workers).where(workers.c.name == name))

    def remove_silent(self) -> None:
        with self._database.connect() as connection:
            connection.execute(sql.delete(workers).where(~_heard_of()))


def _heard_of() -> sql.ColumnElement[bool]:
    return workers.c.seen_at >= database_time() - SILENT_SECONDS


def _row_of(found: sql.RowMapping) -> WorkerRow:
    told = dict(found)
    rung_for = told["rung_for"]
    return WorkerRow(
        **{
            **told,
            "memory": json.loads(told["memory"]),
            "on_disk": tuple(json.loads(told["on_disk"])),
            "rung_for": None if rung_for is None else tuple(json.loads(rung_for)),
        }
    )
