"""What the table tells about the times of its jobs."""

from __future__ import annotations

import dataclasses
import time

import pytest
import sqlalchemy as sql

from ecurie.domain import JobState, Progress, Timings
from ecurie.jobs import forecasts
from ecurie.jobs.estimates import Times
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.store import JobStore
from ecurie.jobs.table import jobs
from tests.unit.jobs.test_store import RESULT, add, claim

TIMINGS = Timings(prepare=0.1, switch=3.0, encode=0.1, denoise=60.0, decode=1.0, save=1.0)


def finish(store: JobStore, seconds: float) -> None:
    """One job, as if it had taken so long: 60 steps of a second, and what is around them."""
    add(store)
    taken = claim(store)
    store.claims.succeed(taken, dataclasses.replace(RESULT, timings=TIMINGS))
    with store.database.connect() as connection:
        changed = sql.update(jobs).where(jobs.c.id == taken.job.id)
        connection.execute(changed.values(started_at=time.time() - seconds))


@pytest.fixture
def measured(store: JobStore) -> JobStore:
    for _ in range(3):
        finish(store, 70.0)
    return store


def seconds_away(moment: float | None) -> float:
    assert moment is not None
    return moment - time.time()


def test_estimates_come_from_the_jobs_that_ended(measured: JobStore) -> None:
    first, second = (measured.get(add(measured)) for _ in range(2))
    found = Forecasts(measured.database, lambda: ["w1"], 60)
    assert seconds_away(found.of(first).start) == pytest.approx(0, abs=1)
    assert seconds_away(found.of(first).end) == pytest.approx(67, abs=1)
    assert seconds_away(found.of(second).start) == pytest.approx(67, abs=1)
    other = Forecasts(measured.database, lambda: ["w1", "w2"], 60)
    assert seconds_away(other.of(second).start) == pytest.approx(0, abs=1)


def test_a_running_job_s_end_comes_from_its_steps(measured: JobStore) -> None:
    job_id, taken = add(measured), claim(measured)
    queued = measured.get(add(measured))
    measured.claims.report(taken, Progress("denoising", 1, 60))
    with measured.database.connect() as connection:
        changed = sql.update(jobs).where(jobs.c.id == job_id)
        connection.execute(changed.values(step=11, drawing_at=time.time() - 21))
    found = Forecasts(measured.database, lambda: ["w1"], 60)
    running = measured.get(job_id)
    assert running.state is JobState.RUNNING
    assert seconds_away(found.of(running).end) == pytest.approx(49 * 2 + 2, abs=1)
    assert seconds_away(found.of(queued).start) == pytest.approx(49 * 2 + 2, abs=1)


def test_when_drawing_began_is_kept_until_the_job_runs_again(store: JobStore) -> None:
    def drawing_at() -> float | None:
        with store.database.connect() as connection:
            return connection.execute(sql.select(jobs.c.drawing_at)).scalar_one()

    add(store)
    taken = claim(store)
    store.claims.report(taken, Progress("loading model", 0, 60))
    assert drawing_at() is None
    store.claims.report(taken, Progress("denoising", 1, 60))
    began = drawing_at()
    store.claims.report(taken, Progress("denoising", 2, 60))
    assert began is not None
    assert drawing_at() == began
    store.claims.give_back(taken)
    store.claims.report(claim(store), Progress("loading model", 0, 60))
    assert drawing_at() is None


def test_nothing_measured_no_worker_or_ended_is_not_known(store: JobStore) -> None:
    job_id = add(store)
    assert Forecasts(store.database, list, 60).of(store.get(job_id)) == Times()
    second = add(store)
    assert Forecasts(store.database, lambda: ["w1"], 60).of(store.get(second)) == Times()
    store.cancel(job_id)
    assert Forecasts(store.database, lambda: ["w1"], 60).of(store.get(job_id)) == Times()


def test_a_job_behind_the_window_has_an_estimate_too(
    measured: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecasts, "PLAYED_THROUGH", 3)
    last = [measured.get(add(measured)) for _ in range(10)][-1]
    found = Forecasts(measured.database, lambda: ["w1"], 60)
    assert seconds_away(found.of(last).start) == pytest.approx(9 * 67, abs=2)


def test_many_who_ask_cost_one_look(measured: JobStore) -> None:
    looks = 0

    def workers() -> list[str]:
        nonlocal looks
        looks += 1
        return ["w1"]

    found = Forecasts(measured.database, workers, 60)
    waiting = [measured.get(add(measured)) for _ in range(20)]
    before = time.monotonic()
    for job in waiting * 20:
        found.of(job)
    assert looks <= 1 + (time.monotonic() - before) / forecasts.FRESH_SECONDS
