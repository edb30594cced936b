"""The keys in memory: how soon a change is seen, and what a key costs."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sql

from ecurie.access.keys import KeyStore
from ecurie.access.ring import FRESH_SECONDS, USE_SECONDS, KeyRing
from ecurie.access.tables import api_keys
from ecurie.domain import LOCAL, Caller, Role
from ecurie.errors import StoreUnavailable
from ecurie.jobs.store import JobStore


@pytest.fixture
def keys(store: JobStore) -> KeyStore:
    return KeyStore(store.database)


def caller_of(ring: KeyRing, secret: str) -> Caller | None:
    """As a request finds it."""
    if ring.stale:
        ring.refresh()
    return ring.caller_of(secret.encode())


def test_whose_a_key_is(keys: KeyStore) -> None:
    user, admin = keys.create("anna", Role.USER), keys.create("ben", Role.ADMIN)
    ring = KeyRing(keys, "sésame")
    assert caller_of(ring, user.secret) == Caller(user.key.id, Role.USER)
    assert caller_of(ring, admin.secret) == Caller(admin.key.id, Role.ADMIN)
    assert caller_of(ring, "sésame") is LOCAL
    for wrong in ("", user.secret[:-1], f"{user.secret}x", user.key.id, user.key.prefix, "SÉSAME"):
        assert caller_of(ring, wrong) is None


def test_without_a_server_key_an_empty_one_is_none(keys: KeyStore) -> None:
    assert caller_of(KeyRing(keys), "") is None


def test_a_key_is_needed_once_one_was_made_and_until_the_last_is_forgotten(keys: KeyStore) -> None:
    def needed() -> bool:
        ring = KeyRing(keys)
        ring.refresh()
        return ring.needed

    assert not needed()
    key_id = keys.create("anna", Role.USER).key.id
    assert needed()
    keys.revoke(key_id)
    assert needed()
    keys.remove(key_id)
    assert not needed()
    for ring in (KeyRing(keys, "mine"), KeyRing(keys, always=True)):
        ring.refresh()
        assert ring.needed


def test_what_is_made_rotated_or_revoked_beside_is_seen_within_a_second(keys: KeyStore) -> None:
    ring = KeyRing(keys)
    assert caller_of(ring, "nothing yet") is None

    def seen_within_a_second(secret: str, *, good: bool) -> bool:
        until = time.monotonic() + 1.0
        while (caller_of(ring, secret) is not None) is not good:
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    first = keys.create("anna", Role.USER)
    assert seen_within_a_second(first.secret, good=True)
    second = keys.rotate(first.key.id)
    assert seen_within_a_second(first.secret, good=False)
    assert caller_of(ring, second.secret) is not None
    keys.revoke(first.key.id)
    assert seen_within_a_second(second.secret, good=False)


def test_keys_are_read_at_most_twice_a_second(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = keys.create("anna", Role.USER).secret
    reads = []
    by_hash = keys.by_hash
    monkeypatch.setattr(keys, "by_hash", lambda: reads.append(1) or by_hash())
    ring, began = KeyRing(keys), time.monotonic()
    for _ in range(2000):
        assert caller_of(ring, secret) is not None
    assert len(reads) <= 1 + (time.monotonic() - began) / FRESH_SECONDS


def test_when_a_key_was_used_is_written_rarely(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    new = keys.create("anna", Role.USER)
    written = []
    note_use = keys.note_use
    monkeypatch.setattr(keys, "note_use", lambda key_id: written.append(key_id) or note_use(key_id))
    monkeypatch.setattr("ecurie.access.ring.FRESH_SECONDS", 0.0)
    ring = KeyRing(keys)
    for _ in range(5):
        caller_of(ring, new.secret)
    assert written == [new.key.id]
    used_at = keys.get(new.key.id).last_used_at
    assert used_at is not None
    with keys._database.connect() as connection:
        connection.execute(sql.update(api_keys).values(last_used_at=time.time() - USE_SECONDS - 1))
    for _ in range(5):
        caller_of(ring, new.secret)
    assert written == [new.key.id] * 2


def test_a_database_that_is_away_locks_nobody_out_whom_it_had_let_in(
    keys: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StoreUnavailable("the job store does not answer")

    secret = keys.create("anna", Role.USER).secret
    monkeypatch.setattr("ecurie.access.ring.FRESH_SECONDS", 0.0)
    ring, new_ring = KeyRing(keys), KeyRing(keys)
    assert caller_of(ring, secret) is not None
    monkeypatch.setattr(keys, "by_hash", away)
    assert caller_of(ring, secret) is not None
    with pytest.raises(StoreUnavailable):
        caller_of(new_ring, secret)
