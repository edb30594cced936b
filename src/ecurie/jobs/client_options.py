"""What clients have chosen for their coming requests, kept for each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from sqlalchemy.dialects import postgresql, sqlite

from ecurie.jobs.database import client_connection
from ecurie.jobs.table import client_options

INSERT: dict[str, Callable[[sql.Table], postgresql.Insert | sqlite.Insert]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
KEY = (client_options.c.owner, client_options.c.client, client_options.c.name)


@dataclass(frozen=True, slots=True)
class Client:
    """Whose options these are: `owner` as in `Caller`; `name` tells programs of one owner apart."""

    owner: str
    name: str


class ClientOptions:
    """In the database of a JobStore. Values are what JSON can say."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def of(self, client: Client) -> dict[str, Any]:
        """Raises StoreUnavailable."""
        query = sql.select(client_options.c.name, client_options.c.value).where(*_of(client))
        with client_connection(self._database) as connection:
            return {name: json.loads(value) for name, value in connection.execute(query)}

    def change(self, client: Client, values: Mapping[str, Any]) -> None:
        """Keep these beside the others; None forgets one. Raises StorageFull or StoreUnavailable."""
        forgotten = [name for name, value in values.items() if value is None]
        kept = [
            {"owner": client.owner, "client": client.name, "name": name, "value": json.dumps(value)}
            for name, value in values.items()
            if value is not None
        ]
        with client_connection(self._database) as connection:
            if forgotten:
                gone = sql.delete(client_options).where(*_of(client), client_options.c.name.in_(forgotten))
                connection.execute(gone)
            if kept:
                new = INSERT[self._database.dialect.name](client_options).values(kept)
                connection.execute(
                    new.on_conflict_do_update(index_elements=KEY, set_={"value": new.excluded.value})
                )


def _of(client: Client) -> tuple[sql.ColumnElement[bool], ...]:
    return (client_options.c.owner == client.owner, client_options.c.client == client.name)
