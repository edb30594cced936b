"""What keys may use, counted to the second and across restarts."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time

import pytest
import sqlalchemy as sql

from ecurie.access.limits import DAY, Quotas, Rates
from ecurie.domain import Allowance, Caller, Hires, Role
from ecurie.errors import LimitReached
from ecurie.jobs.store import JobStore, New
from ecurie.jobs.table import jobs
from tests.unit.jobs.test_store import REQUEST

ONE_IMAGE = REQUEST.width * REQUEST.height
PIXELS = REQUEST.finished_pixels


def caller(**most: int) -> Caller:
    return Caller("anna", Role.USER, Allowance(**most))


def send(store: JobStore, by: Caller, count: int = 1) -> list[str]:
    with Quotas(store.database).room_for(by, count, count * PIXELS):
        new = [New(REQUEST, "")] * count
        return store.add_all(new, priority=0, max_queue=1000, owner=by.owner)


def refused(store: JobStore, by: Caller, count: int = 1) -> LimitReached:
    with pytest.raises(LimitReached) as caught:
        send(store, by, count)
    assert (caught.value.status, caught.value.code) == (429, "limit-reached")
    return caught.value


def test_finished_pixels_are_those_of_all_images_after_the_larger_pass() -> None:
    assert REQUEST.num_images * ONE_IMAGE == PIXELS
    hires = Hires(128, 256, 10, 0.5, "lanczos")
    assert dataclasses.replace(REQUEST, num_images=3, hires=hires).finished_pixels == 3 * 128 * 256


def test_jobs_that_wait_are_counted_in_the_table(store: JobStore) -> None:
    by = caller(queued_jobs=3)
    first, *_ = send(store, by, 2)
    assert "3 jobs waiting; 2 are, and 2 would come" in str(refused(store, by, 2))
    send(store, by)
    assert refused(store, by).retry_after == 10
    send(store, Caller("ben", Role.USER, Allowance(queued_jobs=1)))
    store.cancel(first)
    send(store, by)


def test_pixels_are_counted_for_a_day_and_the_wait_is_told_to_the_second(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    by, now = caller(pixels_per_day=3 * PIXELS), time.time()
    for hours in (20, 10, 1):
        (job_id,) = send(store, by)
        with store.database.connect() as connection:
            sent_at = now - hours * 3600
            connection.execute(sql.update(jobs).where(jobs.c.id == job_id).values(created_at=sent_at))
    monkeypatch.setattr(time, "time", lambda: now)
    assert refused(store, by).retry_after == 4 * 3600
    assert refused(store, by, 2).retry_after == 14 * 3600
    assert refused(store, by, 4).retry_after == DAY
    monkeypatch.setattr(time, "time", lambda: now + 4 * 3600)
    send(store, by)
    refused(store, by)


def test_what_was_cancelled_before_it_began_costs_nothing(store: JobStore) -> None:
    by = caller(pixels_per_day=PIXELS)
    (job_id,) = send(store, by)
    refused(store, by)
    store.cancel(job_id)
    (job_id,) = send(store, by)
    with store.database.connect() as connection:
        begun = {"started_at": time.time(), "state": "cancelled"}
        connection.execute(sql.update(jobs).where(jobs.c.id == job_id).values(begun))
    refused(store, by)


def test_of_two_requests_at_once_one_takes_what_is_left(store: JobStore, database_url: str) -> None:
    """Also of two API processes, where they can share a database."""
    shared = database_url.startswith("postgresql")
    other = JobStore(database_url) if shared else store
    one = Quotas(store.database)
    another = Quotas(other.database) if shared else one
    by, both_are_in, ended = caller(queued_jobs=1), threading.Barrier(2), []

    def ask(quotas: Quotas) -> None:
        try:
            with quotas.room_for(by, 1, PIXELS):
                # Whoever is in waits a moment for the other, which must not come.
                with contextlib.suppress(threading.BrokenBarrierError):
                    both_are_in.wait(0.3)
                store.add(REQUEST, priority=0, stack="", max_queue=99, owner=by.owner)
                ended.append("stored")
        except LimitReached:
            ended.append("refused")

    threads = [threading.Thread(target=ask, args=(quotas,)) for quotas in (one, another)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == ["stored", "refused"]
    if shared:
        other.close()


def test_requests_are_counted_over_any_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    rates, by, now = Rates(5), caller(requests_per_minute=3), time.time()

    def at(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: now + seconds)

    for seconds in (0, 20, 50):
        at(seconds)
        rates.count_request(by)
    with pytest.raises(LimitReached, match="3 requests a minute") as caught:
        rates.count_request(by)
    assert caught.value.retry_after == 10
    rates.count_request(Caller("ben", Role.USER, by.allowance))
    rates.count_request(Caller("carl", Role.USER))
    at(60.01)
    rates.count_request(by)
    with pytest.raises(LimitReached) as caught:
        rates.count_request(by)
    assert caught.value.retry_after == 20


def test_an_address_that_sends_wrong_keys_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    rates, now = Rates(3), time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    for _ in range(3):
        assert rates.lock_out("192.0.2.1") is None
        rates.note_wrong_key("192.0.2.1")
    assert rates.lock_out("192.0.2.1") == 60
    assert rates.lock_out("192.0.2.2") is None
    monkeypatch.setattr(time, "time", lambda: now + 60.01)
    assert rates.lock_out("192.0.2.1") is None
