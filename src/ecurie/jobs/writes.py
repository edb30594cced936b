"""Whether the job database was written to, asked many times a second."""

from __future__ import annotations

import sqlalchemy as sql

CHANNEL = "ecurie_jobs"


class SqliteWrites:
    """SQLite's version of the data counts what other connections write, so a connection that writes nothing
    asks for it."""

    def __init__(self, database: sql.Engine):
        self._database = database
        self._connection: sql.Connection | None = None
        self._version: int | None = None

    def seen(self) -> bool:
        """Whether anything was written since this was asked last, by any process."""
        if self._connection is None:
            self._connection = self._database.connect()
        version: int = self._connection.execute(sql.text("PRAGMA data_version")).scalar_one()
        before, self._version = self._version, version
        return version != before

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class PostgresWrites:
    """A trigger tells every change of a job (NOTIFY). To ask is to look at a socket, so it costs the server
    nothing, however many workers ask."""

    def __init__(self, database: sql.Engine):
        self._database = database
        self._connection: sql.Connection | None = None

    def seen(self) -> bool:
        """Whether a job may have changed since this was asked last. Raises OperationalError."""
        from psycopg import Error

        if self._connection is None:
            self._connection = self._database.connect()
            self._connection.execute(sql.text(f"LISTEN {CHANNEL}"))
            return True
        driver = self._connection.connection.driver_connection
        assert driver is not None
        try:
            return bool(list(driver.notifies(timeout=0)))
        except Error:
            # The connection was cut: what was told meanwhile is lost, and the next call listens anew.
            self.close()
            return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None


def watch_writes(database: sql.Engine) -> SqliteWrites | PostgresWrites:
    """For one thread."""
    return PostgresWrites(database) if database.dialect.name == "postgresql" else SqliteWrites(database)
