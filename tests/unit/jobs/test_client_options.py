"""Options of clients in the store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ecurie.jobs.client_options import Client, ClientOptions
from ecurie.jobs.store import JobStore

ONE, OTHER, PROGRAM = Client("key-1", ""), Client("key-2", ""), Client("key-1", "abc")


def test_options_are_each_client_s_own_and_stay(store: JobStore, database_url: str) -> None:
    options = ClientOptions(store.database)
    options.change(ONE, {"model": "pony", "steps": 7})
    options.change(ONE, {"steps": 8, "format": "webp"})
    options.change(PROGRAM, {"model": "base"})
    again = JobStore(database_url)
    kept = ClientOptions(again.database)
    assert kept.of(ONE) == {"model": "pony", "steps": 8, "format": "webp"}
    assert (kept.of(PROGRAM), kept.of(OTHER)) == ({"model": "base"}, {})
    again.close()


def test_none_forgets_an_option(store: JobStore) -> None:
    options = ClientOptions(store.database)
    options.change(ONE, {"model": "pony", "steps": 7})
    options.change(ONE, {"model": None, "format": None})
    options.change(OTHER, {})
    assert options.of(ONE) == {"steps": 7}


def test_changes_at_the_same_time_are_all_kept(store: JobStore) -> None:
    options = ClientOptions(store.database)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda number: options.change(ONE, {f"option-{number % 8}": number}), range(32)))
    assert set(options.of(ONE)) == {f"option-{number}" for number in range(8)}
