"""Whose the images are, and the pictures that were sent: known for as long as the files are there, also when
the jobs are forgotten."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from ecurie.jobs.database import client_connection
from ecurie.jobs.table import output_owners, upload_owners


class Owners:
    """In the database of a JobStore. Each method raises StoreUnavailable or StorageFull."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def of_output(self, filename: str) -> str:
        """'' for nobody's in particular."""
        query = sql.select(output_owners.c.owner).where(output_owners.c.filename == filename)
        with client_connection(self._database) as connection:
            return connection.execute(query).scalar() or ""

    def has_sent(self, picture: str, owner: str) -> bool:
        query = sql.select(upload_owners).where(*_sent(picture, owner))
        with client_connection(self._database) as connection:
            return connection.execute(query).first() is not None

    def note_sent(self, picture: str, owner: str) -> None:
        """The same picture may be many owners'."""
        with client_connection(self._database) as connection:
            insert_new(connection, upload_owners, [{"picture": picture, "owner": owner}])

    def withdraw(self, picture: str, owner: str) -> bool:
        """It is no longer this owner's. Returns whether it is nobody's now."""
        left = sql.select(upload_owners).where(upload_owners.c.picture == picture)
        with client_connection(self._database) as connection:
            connection.execute(sql.delete(upload_owners).where(*_sent(picture, owner)))
            return connection.execute(left).first() is None

    def forget_uploads(self, pictures: Collection[str]) -> None:
        query = sql.delete(upload_owners).where(upload_owners.c.picture == sql.bindparam("gone"))
        with client_connection(self._database) as connection:
            if pictures:
                connection.execute(query, [{"gone": picture} for picture in pictures])


def _sent(picture: str, owner: str) -> Sequence[sql.ColumnElement[bool]]:
    return upload_owners.c.picture == picture, upload_owners.c.owner == owner


def own_outputs(connection: sql.Connection, filenames: Iterable[str], owner: str) -> None:
    """What is nobody's in particular needs no row."""
    rows = [{"filename": filename, "owner": owner} for filename in filenames if owner]
    if rows:
        insert_new(connection, output_owners, rows)


def forget_outputs(connection: sql.Connection, filenames: Collection[str]) -> None:
    connection.execute(sql.delete(output_owners).where(output_owners.c.filename.in_(filenames)))


def insert_new(connection: sql.Connection, table: sql.Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Those that are there already are left as they are."""
    if connection.dialect.name == "postgresql":
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), rows)
    else:
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), rows)
