"""Opening the job database: connection settings, and bringing the tables up to date."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError

from ecurie.errors import SetupError, StorageFull, StoreUnavailable

log = logging.getLogger(__name__)
DISK_FULL = ("disk is full", "No space left on device")
# A server that vanished without a word is noticed within seconds, and nothing waits long for a lock.
POSTGRES = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
    "options": "-c lock_timeout=10s",
}


def open_database(url: str) -> sql.Engine:
    """An engine whose every statement is a transaction of its own, on a database with the newest tables.

    `url` is SQLAlchemy's, of SQLite or PostgreSQL. A connection that was cut is replaced when it is needed
    next. Raises SetupError for a database that cannot be used.
    """
    place = sql.make_url(url)
    if place.get_backend_name() == "postgresql":
        place = place.update_query_dict({**POSTGRES, **place.query})
    try:
        engine = sql.create_engine(
            place, isolation_level="AUTOCOMMIT", pool_pre_ping=True, hide_parameters=True
        )
    except ImportError as error:
        raise SetupError(
            "the driver of PostgreSQL is not installed", remedy="pip install 'ecurie[cluster]'"
        ) from error
    if engine.dialect.name == "sqlite":
        sql.event.listen(engine, "connect", _prepare_sqlite)
    try:
        _migrate(place)
    except OperationalError as error:
        engine.dispose()
        where = place.set(query={}).render_as_string(hide_password=True)
        raise SetupError(
            f"the database {where} cannot be used: {str(error.orig).strip()}",
            remedy="see that it runs and that ECURIE_DATABASE_URL is right",
        ) from error
    except CommandError as error:
        engine.dispose()
        raise SetupError(
            f"the job table was made by a newer Écurie ({error})",
            remedy="install that version, or restore the backup from before the upgrade",
        ) from error
    return engine


@contextmanager
def client_connection(database: sql.Engine) -> Iterator[sql.Connection]:
    """For what a client asks: the driver's errors become StorageFull or StoreUnavailable."""
    with _told_to_clients(), database.connect() as connection:
        yield connection


@contextmanager
def client_transaction(database: sql.Engine) -> Iterator[sql.Connection]:
    """The same for several statements, all or none; the first should write."""
    with _told_to_clients(), transaction(database) as connection:
        yield connection


@contextmanager
def _told_to_clients() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        log.error("the job store cannot be used now: %s", error.orig)
        if any(sign in str(error.orig) for sign in DISK_FULL):
            raise StorageFull("no room to store the job", remedy="free some disk space") from error
        raise StoreUnavailable("the job store does not answer", remedy="try again in a moment") from error


@contextmanager
def transaction(database: sql.Engine) -> Iterator[sql.Connection]:
    """Several statements, all or none; the first should write, or SQLite may refuse a later one that does."""
    level = "READ COMMITTED" if database.dialect.name == "postgresql" else "SERIALIZABLE"
    options = {"isolation_level": level}
    with database.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers go on beside the one writer; FULL makes an accepted job survive a power cut."""
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _migrate(place: sql.URL) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    url = place.render_as_string(hide_password=False)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    command.upgrade(config, "head")
