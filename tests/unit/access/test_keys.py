"""API keys in the database: shown once, kept as hashes."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
import sqlalchemy as sql

from ecurie.access.keys import KeyStore
from ecurie.domain import UNLIMITED, Allowance, Role
from ecurie.errors import InvalidRequest, UnknownKey
from ecurie.jobs.store import JobStore

SOME = Allowance(requests_per_minute=10, pixels_per_day=10**12, queued_jobs=2)


@pytest.fixture
def keys(store: JobStore) -> KeyStore:
    return KeyStore(store.database)


def test_a_key_is_kept_as_a_hash_only(keys: KeyStore, store: JobStore) -> None:
    new = keys.create("anna", Role.USER, SOME)
    assert len(new.secret) == len("ecurie_") + 43
    assert new.secret.startswith(new.key.prefix)
    assert len(new.key.prefix) == len("ecurie_") + 6
    with store.database.connect() as connection:
        (row,) = connection.execute(sql.text("SELECT * FROM api_keys")).mappings()
    assert row["hash"] == hashlib.sha256(new.secret.encode()).hexdigest()
    assert all(new.secret[len(new.key.prefix) :] not in str(value) for value in row.values())
    assert keys.get(new.key.id) == new.key
    assert (new.key.name, new.key.role, new.key.allowance) == ("anna", Role.USER, SOME)
    assert abs((datetime.now(UTC) - new.key.created_at).total_seconds()) < 60


def test_no_two_keys_are_alike(keys: KeyStore) -> None:
    made = [keys.create("same name", Role.ADMIN) for _ in range(5)]
    assert len({new.secret for new in made}) == len({new.key.id for new in made}) == 5
    assert keys.all() == [new.key for new in made]


def test_a_rotated_key_has_another_secret_and_the_same_owner(keys: KeyStore) -> None:
    old = keys.create("anna", Role.USER, SOME)
    new = keys.rotate(old.key.id)
    assert new.secret != old.secret
    assert new.key.caller == old.key.caller
    assert list(keys.by_hash()) == [hashlib.sha256(new.secret.encode()).hexdigest()]


def test_a_revoked_key_stays_so_until_it_is_forgotten(keys: KeyStore) -> None:
    key_id = keys.create("anna", Role.USER).key.id
    with pytest.raises(InvalidRequest, match="in use"):
        keys.remove(key_id)
    assert keys.any_usable()
    revoked = keys.revoke(key_id)
    assert revoked.revoked_at is not None
    assert keys.revoke(key_id) == revoked
    assert not keys.any_usable()
    for change in (keys.rotate, lambda key_id: keys.limit(key_id, SOME)):
        with pytest.raises(InvalidRequest, match="is revoked"):
            change(key_id)
    keys.remove(key_id)
    assert keys.all() == []


def test_limits_are_changed_for_one_key(keys: KeyStore) -> None:
    first, second = (keys.create(name, Role.USER).key for name in ("anna", "ben"))
    assert keys.limit(first.id, SOME).allowance == SOME
    assert keys.get(second.id).allowance == UNLIMITED
    assert keys.limit(first.id, UNLIMITED).allowance == UNLIMITED


@pytest.mark.parametrize("key_id", ["000000000000", "", "nul\0", "' OR 1=1", "é" * 200])
def test_an_unknown_id_is_told(keys: KeyStore, key_id: str) -> None:
    asked = (keys.get, keys.rotate, keys.revoke, keys.remove, lambda name: keys.limit(name, SOME))
    for ask in asked:
        with pytest.raises(UnknownKey, match="there is no API key"):
            ask(key_id)


@pytest.mark.parametrize("name", ["", "  ", "two\nlines", "x" * 65, "nul\0", "\x1b[31mred"])
def test_a_name_that_is_none_is_refused(keys: KeyStore, name: str) -> None:
    with pytest.raises(InvalidRequest, match="is no name"):
        keys.create(name, Role.USER)
    assert keys.all() == []
