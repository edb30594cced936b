"""API keys: made, listed, changed.

A key is 256 random bits, of which only the SHA-256 is kept. A slow hash (as for passwords) makes guesses
expensive; of 256 random bits nobody guesses any, at whatever price, so a fast one loses nothing, and each
request needs it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql

from ecurie.access.tables import api_keys
from ecurie.domain import UNLIMITED, Allowance, Caller, Role
from ecurie.errors import InvalidRequest, UnknownKey
from ecurie.jobs.database import client_connection

MARK = "ecurie_"
"""What every key begins with, so that people and scanners of leaked secrets know it."""
SHOWN = len(MARK) + 6
"""Characters of a key that are kept readable; 36 of its 256 bits."""
LONGEST_NAME = 64
KEY_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`prefix` is how the key itself begins. Jobs and images know it by its `id`, which a rotation keeps."""

    id: str
    name: str
    role: Role
    prefix: str
    allowance: Allowance
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None

    @property
    def caller(self) -> Caller:
        return Caller(self.id, self.role, self.allowance)


@dataclass(frozen=True, slots=True)
class NewKey:
    """`secret` is what its user sends; it is not kept, so it cannot be shown again."""

    key: ApiKey
    secret: str


def hash_of(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


class KeyStore:
    """In the database of a JobStore. Each method raises StoreUnavailable or StorageFull."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def create(self, name: str, role: Role, allowance: Allowance = UNLIMITED) -> NewKey:
        """Raises InvalidRequest for a name that is none."""
        key_id, secret = secrets.token_hex(6), _new_secret()
        row = {
            "id": key_id,
            "name": checked_name(name),
            "role": role,
            "created_at": time.time(),
            **_columns_of(secret),
            **asdict(allowance),
        }
        self._execute(api_keys.insert().values(row))
        return NewKey(self.get(key_id), secret)

    def get(self, key_id: str) -> ApiKey:
        """Raises UnknownKey."""
        query = sql.select(api_keys).where(_is(key_id))
        with client_connection(self._database) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise _unknown(key_id)
        return _to_key(row)

    def all(self) -> list[ApiKey]:
        """The revoked ones too, the oldest first."""
        return list(self.by_hash().values())

    def by_hash(self) -> dict[str, ApiKey]:
        query = sql.select(api_keys).order_by(api_keys.c.created_at)
        with client_connection(self._database) as connection:
            return {row["hash"]: _to_key(row) for row in connection.execute(query).mappings()}

    def any_usable(self) -> bool:
        return any(key.revoked_at is None for key in self.all())

    def rotate(self, key_id: str) -> NewKey:
        """Another secret for the same key; the one before is worth nothing from now on.

        Raises UnknownKey, or InvalidRequest for a revoked key.
        """
        secret = _new_secret()
        self._change_usable(key_id, _columns_of(secret))
        return NewKey(self.get(key_id), secret)

    def revoke(self, key_id: str) -> ApiKey:
        """For good; its jobs and images stay. A second time changes nothing. Raises UnknownKey."""
        usable = _is(key_id), api_keys.c.revoked_at.is_(None)
        self._execute(sql.update(api_keys).where(*usable).values(revoked_at=time.time()))
        return self.get(key_id)

    def limit(self, key_id: str, allowance: Allowance) -> ApiKey:
        """Raises UnknownKey, or InvalidRequest for a revoked key."""
        self._change_usable(key_id, asdict(allowance))
        return self.get(key_id)

    def remove(self, key_id: str) -> None:
        """Forget a revoked key. What it owned is the admins' then.

        Raises UnknownKey, or InvalidRequest for a key that is in use.
        """
        if self.get(key_id).revoked_at is None:
            raise InvalidRequest(f"the API key {key_id} is in use", remedy="revoke it first")
        self._execute(sql.delete(api_keys).where(_is(key_id), api_keys.c.revoked_at.is_not(None)))

    def note_use(self, key_id: str) -> None:
        self._execute(sql.update(api_keys).where(_is(key_id)).values(last_used_at=time.time()))

    def _change_usable(self, key_id: str, values: dict[str, Any]) -> None:
        usable = _is(key_id), api_keys.c.revoked_at.is_(None)
        if not self._execute(sql.update(api_keys).where(*usable).values(values)):
            self.get(key_id)
            raise InvalidRequest(f"the API key {key_id} is revoked", remedy="create another one")

    def _execute(self, query: sql.Insert | sql.Update | sql.Delete) -> int:
        with client_connection(self._database) as connection:
            return connection.execute(query).rowcount


def _is(key_id: str) -> sql.ColumnElement[bool]:
    """Raises UnknownKey for what cannot be an id: not every database takes every text."""
    if not KEY_ID.fullmatch(key_id):
        raise _unknown(key_id)
    return api_keys.c.id == key_id


def _unknown(key_id: str) -> UnknownKey:
    return UnknownKey(
        f"there is no API key '{key_id[:100]}'", remedy="`ecurie keys list` shows them by their ids"
    )


def checked_name(name: str) -> str:
    """Raises InvalidRequest."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(
            f"name: {name[:80]!r} is no name: 1 to {LONGEST_NAME} printable characters", field="name"
        )
    return name


def _new_secret() -> str:
    return MARK + secrets.token_urlsafe(32)


def _columns_of(secret: str) -> dict[str, str]:
    return {"hash": hash_of(secret.encode()), "prefix": secret[:SHOWN]}


def _to_key(row: Any) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        prefix=row["prefix"],
        allowance=Allowance(row["requests_per_minute"], row["pixels_per_day"], row["queued_jobs"]),
        created_at=datetime.fromtimestamp(row["created_at"], UTC),
        revoked_at=_moment(row["revoked_at"]),
        last_used_at=_moment(row["last_used_at"]),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
