"""Where the definitions of sweeps are kept, beside the jobs that are their cells."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sql

from ecurie.errors import UnknownSweep
from ecurie.jobs.database import client_connection
from ecurie.jobs.table import sweeps


@dataclass(frozen=True, slots=True)
class StoredSweep:
    """`definition` is the body that asked for it, as JSON."""

    id: str
    definition: str
    created_at: datetime


class SweepStore:
    """In the database of a JobStore."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def add(self, definition: str) -> StoredSweep:
        """Stored before its jobs: one that has none was never accepted."""
        sweep_id, now = uuid.uuid4().hex, time.time()
        with client_connection(self._database) as connection:
            connection.execute(sweeps.insert().values(id=sweep_id, definition=definition, created_at=now))
        return StoredSweep(sweep_id, definition, datetime.fromtimestamp(now, UTC))

    def remove(self, sweep_id: str) -> None:
        with client_connection(self._database) as connection:
            connection.execute(sweeps.delete().where(sweeps.c.id == sweep_id))

    def get(self, sweep_id: str) -> StoredSweep:
        """Raises UnknownSweep."""
        query = sql.select(sweeps).where(sweeps.c.id == sweep_id)
        with client_connection(self._database) as connection:
            # PostgreSQL takes no NUL character, not even to look for it.
            row = None if "\0" in sweep_id else connection.execute(query).mappings().first()
        if row is None:
            raise UnknownSweep(f"there is no sweep '{sweep_id[:100]}'")
        return StoredSweep(row["id"], row["definition"], datetime.fromtimestamp(row["created_at"], UTC))
