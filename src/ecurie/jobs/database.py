"""Opening the job database: connection settings, and bringing the table up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sql
from alembic import command
from alembic.config import Config


def open_database(url: str) -> sql.Engine:
    """An engine whose every statement is a transaction of its own, on a database with the newest table."""
    engine = sql.create_engine(url, isolation_level="AUTOCOMMIT")
    if engine.dialect.name == "sqlite":
        sql.event.listen(engine, "connect", _prepare_sqlite)
    _migrate(url)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers go on beside the one writer; FULL makes an accepted job survive a power cut."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")


class Writes:
    """Whether a SQLite database was written to. Its version counts what other connections write, so a
    connection that writes nothing asks for it."""

    def __init__(self, engine: sql.Engine):
        self._engine = engine
        self._connection: sql.Connection | None = None
        self._version: int | None = None

    def seen(self) -> bool:
        """Whether anything was written since this was asked last, by any process."""
        if self._connection is None:
            self._connection = self._engine.connect()
        version: int = self._connection.execute(sql.text("PRAGMA data_version")).scalar_one()
        before, self._version = self._version, version
        return version != before

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
