"""Workers in the store, and which of them are rung for."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable

import pytest
import sqlalchemy as sql

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.jobs.doorbell import UNHEARD_SECONDS, Ring, ring_again
from ecurie.jobs.store import JobStore
from ecurie.jobs.table import jobs, workers
from ecurie.jobs.workers import SILENT_SECONDS, WorkerRow
from ecurie.worker.presence import Presence
from tests.unit.jobs.test_store import add

MEMORY = {"ram_budget": 1, "vram_budget": 0, "models": [{"id": "sdxl-base"}]}


def worker(name: str, **changes: object) -> WorkerRow:
    now = time.time()
    row = WorkerRow(
        name, "host", 7, "1.0", "cpu", "float32", now, now, MEMORY, ("sdxl-base",), ("sdxl-base",)
    )
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type]


class Heard:
    def __init__(self) -> None:
        self.rings: list[Ring] = []

    def ring(self, rings: Iterable[Ring]) -> None:
        self.rings += rings

    def close(self) -> None: ...


def test_a_worker_is_there_as_it_told_last(store: JobStore) -> None:
    for row in (worker("b"), worker("a"), worker("b", job="1", rung_for=None)):
        store.workers.tell(row)
    first, second = store.workers.present()
    assert (first.name, first.memory, first.rung_for, first.idle) == ("a", MEMORY, ("sdxl-base",), True)
    assert (second.name, second.job, second.rung_for, second.idle) == ("b", "1", None, False)
    store.workers.remove("a")
    assert [row.name for row in store.workers.present()] == ["b"]


def silence(store: JobStore, name: str) -> None:
    """As if it had told nothing for a while."""
    long_ago = workers.c.seen_at - SILENT_SECONDS - 1
    with store.database.connect() as connection:
        connection.execute(sql.update(workers).where(workers.c.name == name).values(seen_at=long_ago))


def test_the_time_that_a_worker_tells_is_the_database_s(store: JobStore) -> None:
    """So one whose clock is wrong is counted too."""
    store.workers.tell(worker("a", seen_at=0.0))
    assert [row.name for row in store.workers.present()] == ["a"]


def test_a_silent_worker_is_not_counted_and_may_come_back(store: JobStore) -> None:
    store.workers.tell(worker("a"))
    silence(store, "a")
    assert store.workers.present() == []
    store.workers.remove_silent()
    store.workers.tell(worker("a"))
    store.workers.remove_silent()
    assert [row.name for row in store.workers.present()] == ["a"]


def waiting(store: JobStore, model: str, seconds: float = UNHEARD_SECONDS + 1) -> str:
    job_id = add(store, model=model)
    with store.database.connect() as connection:
        since = time.time() - seconds
        connection.execute(sql.update(jobs).where(jobs.c.id == job_id).values(created_at=since))
    return job_id


def test_idle_workers_are_rung_for_again_once_each(store: JobStore) -> None:
    first, other = waiting(store, "sdxl-base"), waiting(store, "pony-xl-v6")
    for _ in range(5):
        waiting(store, "sdxl-base")
    rows = [
        worker("a"),
        worker("b"),
        worker("both", rung_for=("nothing", "pony-xl-v6")),
        worker("busy", job="1"),
        worker("looks itself", rung_for=None),
        worker("gone"),
    ]
    for row in rows:
        store.workers.tell(row)
    silence(store, "gone")
    heard = Heard()
    ring_again(store, heard)
    assert sorted(heard.rings, key=str) == sorted(
        [Ring(first, "sdxl-base")] * 2 + [Ring(other, "pony-xl-v6")], key=str
    )


@pytest.mark.parametrize("case", ["young", "other model", "cancelled"])
def test_nobody_is_rung_for_what_need_not_be_heard(store: JobStore, case: str) -> None:
    store.workers.tell(worker("a"))
    job_id = waiting(
        store,
        "pony-xl-v6" if case == "other model" else "sdxl-base",
        0 if case == "young" else UNHEARD_SECONDS + 1,
    )
    if case == "cancelled":
        store.cancel(job_id)
    heard = Heard()
    ring_again(store, heard)
    assert heard.rings == []


def test_a_store_that_cannot_be_written_to_does_not_stop_the_worker_from_telling(
    store: JobStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def describe() -> dict[str, object]:
        return {"device": "cpu", "dtype": "float32", **MEMORY}

    catalog = Catalog(BUILTIN["demo"], BUILTIN["demo"].parent)
    presence = Presence("w1", store.workers, describe, catalog)
    presence.start()
    (row,) = store.workers.present()
    assert (row.device, row.job, row.on_disk) == ("cpu", None, ("sdxl-base", "pony-xl-v6"))
    tell = store.workers.tell

    def refuse(_row: WorkerRow) -> None:
        raise sql.exc.OperationalError("UPDATE", {}, Exception("database or disk is full"))

    monkeypatch.setattr(store.workers, "tell", refuse)
    presence.tell("1")
    assert "cannot tell" in caplog.text
    monkeypatch.setattr(store.workers, "tell", tell)
    presence.tell("2")
    assert [row.job for row in store.workers.present()] == ["2"]
    presence.close()
    assert store.workers.present() == []
