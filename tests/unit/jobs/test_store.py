from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sql
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

import ecurie.access.tables  # noqa: F401 (its tables are of the same metadata)
from ecurie.domain import (
    GenerationRequest,
    ImageFile,
    JobFailure,
    JobResult,
    JobState,
    Progress,
    Setup,
    Timings,
)
from ecurie.errors import JobCancelled, JobFinished, LeaseLost, QueueFull, UnknownJob, UnknownSweep
from ecurie.jobs.claims import Claim
from ecurie.jobs.leases import HeldJob
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore
from ecurie.jobs.sweeps import SweepStore
from ecurie.jobs.table import metadata

REQUEST = GenerationRequest(
    prompt="red apple",
    final_prompt="red apple",
    negative_prompt="",
    model="sdxl-base",
    model_path="/models/sdxl-base",
    adapters=(),
    steps=30,
    guidance_scale=7.5,
    seed=7,
    width=64,
    height=64,
    num_images=2,
    scheduler="default",
    clip_skip=2,
)
RESULT = JobResult(
    (ImageFile("a.png", 7, 64, 64), ImageFile("b.png", 8, 64, 64)),
    Setup("cpu", "float32", "EulerDiscreteScheduler", {"torch": "2"}),
    Timings(denoise=1.5),
)


def add(store: JobStore, *, priority: int = 0, **changes: object) -> str:
    request = dataclasses.replace(REQUEST, **changes)  # type: ignore[arg-type]
    return store.add(request, priority=priority, stack="", max_queue=100).id


def claim(store: JobStore, worker: str = "w1", *, lease: float = 30) -> Claim:
    taken = store.claims.take(worker, Held(), lease_seconds=lease, max_overtake=30)
    assert taken is not None
    return taken


def held(store: JobStore) -> HeldJob:
    (only,) = store.leases.held()
    return only


def test_the_migrations_make_the_tables_that_the_code_uses(store: JobStore) -> None:
    sqlite = store.database.dialect.name == "sqlite"
    # Alembic does not look at what a table says of the databases that an index is for.
    options = {"include_object": lambda _, name, *_more: sqlite or name != "gallery"}
    with store.database.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_the_database_survives_a_power_cut_after_a_commit(tmp_path: Path) -> None:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    with store.database.connect() as connection:
        assert connection.execute(sql.text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(sql.text("PRAGMA synchronous")).scalar() == 2  # FULL
    store.close()


def test_a_job_comes_back_as_it_was_stored(store: JobStore, database_url: str) -> None:
    job_id = add(store)
    other = JobStore(database_url)
    job = other.get(job_id)
    other.close()
    assert (job.request, job.state, job.queue_position, job.attempts) == (REQUEST, JobState.QUEUED, 1, 0)


@pytest.mark.parametrize("job_id", ["", "a\0b", "\0", "x" * 10_000, "é\u2028😀", "' OR 1=1 --", "%"])
def test_what_is_no_id_is_unknown(store: JobStore, job_id: str) -> None:
    """PostgreSQL refuses NUL characters, with an error of its driver's."""
    add(store)
    with pytest.raises(UnknownJob):
        store.get(job_id)
    with pytest.raises(UnknownSweep):
        SweepStore(store.database).get(job_id)


def test_the_life_of_a_job(store: JobStore) -> None:
    job_id = add(store)
    taken = claim(store)
    assert store.get(job_id).state is JobState.PREPARING
    store.claims.report(taken, Progress("denoising", 3, 60))
    running = store.get(job_id)
    assert (running.state, running.progress) == (JobState.RUNNING, Progress("denoising", 3, 60))
    store.claims.succeed(taken, RESULT)
    ended = store.get(job_id)
    assert (ended.state, ended.result, ended.attempts) == (JobState.SUCCEEDED, RESULT, 1)
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.created_at <= ended.started_at <= ended.finished_at


def test_a_failure_is_kept(store: JobStore) -> None:
    job_id = add(store)
    failure = JobFailure("storage-full", "no room", "make some")
    store.claims.fail(claim(store), failure)
    assert (store.get(job_id).state, store.get(job_id).failure) == (JobState.FAILED, failure)


def test_jobs_wait_in_order_of_priority_and_arrival(store: JobStore) -> None:
    first, second, urgent = add(store), add(store), add(store, priority=1)
    assert [store.get(job_id).queue_position for job_id in (urgent, first, second)] == [1, 2, 3]
    assert [claim(store).job.id for _ in range(3)] == [urgent, first, second]
    assert store.claims.take("w1", Held(), lease_seconds=1, max_overtake=1) is None


def test_a_full_queue_refuses_and_running_jobs_do_not_count(store: JobStore) -> None:
    store.add(REQUEST, priority=0, stack="", max_queue=1)
    with pytest.raises(QueueFull, match="1 jobs"):
        store.add(REQUEST, priority=0, stack="", max_queue=1)
    claim(store)
    store.add(REQUEST, priority=0, stack="", max_queue=1)


def test_of_two_workers_that_claim_at_once_one_gets_the_job_a_thousand_times(
    store: JobStore, database_url: str
) -> None:
    """One job waits each time, so both want the same one; then it is taken away from who got it."""
    job_id, rounds, stores = add(store), 1000, [JobStore(database_url) for _ in range(2)]
    start, got = threading.Barrier(3), [0] * rounds

    def work(mine: JobStore, name: str) -> None:
        for index in range(rounds):
            start.wait(60)
            if mine.claims.take(name, Held(), lease_seconds=30, max_overtake=30) is not None:
                got[index] += 1
            start.wait(60)

    threads = [threading.Thread(target=work, args=(mine, f"w{n}")) for n, mine in enumerate(stores)]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        start.wait(60)
        start.wait(60)
        assert store.leases.reap(held(store), max_attempts=3 * rounds)
    for thread in threads:
        thread.join()
    for opened in stores:
        opened.close()
    assert got == [1] * rounds
    assert store.get(job_id).attempts == rounds


def test_a_queued_job_is_cancelled_at_once_and_never_runs(store: JobStore) -> None:
    job_id = add(store)
    assert store.cancel(job_id).state is JobState.CANCELLED
    assert store.claims.take("w1", Held(), lease_seconds=1, max_overtake=1) is None


def test_a_running_job_learns_that_it_is_cancelled(store: JobStore) -> None:
    job_id = add(store)
    taken = claim(store)
    store.cancel(job_id)
    with pytest.raises(JobCancelled):
        store.claims.report(taken, Progress("denoising", 1, 60))
    store.claims.end_cancelled(taken)
    assert store.get(job_id).state is JobState.CANCELLED
    with pytest.raises(JobFinished, match="cancelled"):
        store.cancel(job_id)


def test_a_job_that_affinity_overtook_is_marked_once(store: JobStore) -> None:
    older, newer = add(store, model="b"), add(store, model="a")

    def overtaken_at() -> object:
        with store.database.connect() as connection:
            return connection.execute(
                sql.text(f"SELECT overtaken_at FROM jobs WHERE id = '{older}'")
            ).scalar()

    taken = store.claims.take("w1", Held("a", "", time.time()), lease_seconds=30, max_overtake=30)
    assert taken is not None
    assert taken.job.id == newer
    first = overtaken_at()
    assert first is not None
    add(store, model="a")
    assert store.claims.take("w1", Held("a", "", time.time()), lease_seconds=30, max_overtake=30) is not None
    assert overtaken_at() == first
    due = store.claims.take("w1", Held("a", ""), lease_seconds=30, max_overtake=0)
    assert due is not None
    assert due.job.id == older


def test_a_job_of_a_worker_that_was_stopped_costs_no_attempt(store: JobStore) -> None:
    job_id = add(store)
    claim(store)
    store.leases.return_to_queue(held(store))
    assert (store.get(job_id).state, store.get(job_id).attempts) == (JobState.QUEUED, 0)


def test_an_unknown_job_is_said_to_be_unknown(store: JobStore) -> None:
    for ask in (store.get, store.cancel):
        with pytest.raises(UnknownJob, match="'nope'"):
            ask("nope")


def test_a_job_given_back_keeps_its_place_and_costs_no_attempt(store: JobStore) -> None:
    first, second = add(store), add(store)
    store.claims.give_back(claim(store))
    assert [store.get(job_id).queue_position for job_id in (first, second)] == [1, 2]
    assert store.get(first).attempts == 0


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_leases_are_of_the_database_s_clock_whatever_a_worker_s_says(
    store: JobStore, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """So workers of several machines, whose clocks differ, do not lose their jobs."""
    now = time.time()
    monkeypatch.setattr("ecurie.jobs.claims.time.time", lambda: now + seconds)
    add(store)
    taken = claim(store, lease=30)
    assert abs(store.leases.now() - now) < 20
    assert 0 < held(store).lease_until - store.leases.now() <= 30
    store.claims.renew(taken, 300)
    assert 270 < held(store).lease_until - store.leases.now() <= 300


def test_a_dead_worker_s_job_runs_again_and_the_dead_worker_can_change_nothing_any_more(
    store: JobStore,
) -> None:
    job_id = add(store)
    stale = claim(store, "w1")
    store.leases.reap(held(store), max_attempts=3)
    again = claim(store, "w2")
    assert (again.job.id, again.attempt) == (job_id, 2)
    for late in (
        lambda: store.claims.report(stale, Progress("denoising", 1, 60)),
        lambda: store.claims.renew(stale, 30),
        lambda: store.claims.succeed(stale, RESULT),
        lambda: store.claims.fail(stale, JobFailure("x", "x")),
        lambda: store.claims.end_cancelled(stale),
        lambda: store.claims.give_back(stale),
        lambda: store.claims.check(stale),
    ):
        with pytest.raises(LeaseLost):
            late()
    store.claims.succeed(again, RESULT)
    assert store.get(job_id).state is JobState.SUCCEEDED


def test_the_same_worker_s_earlier_attempt_is_fenced_too(store: JobStore) -> None:
    add(store)
    stale = claim(store, "w1")
    store.leases.reap(held(store), max_attempts=3)
    claim(store, "w1")
    with pytest.raises(LeaseLost):
        store.claims.succeed(stale, RESULT)


def test_a_job_whose_worker_always_dies_fails_after_its_last_attempt(store: JobStore) -> None:
    job_id = add(store)
    for _ in range(3):
        claim(store)
        store.leases.reap(held(store), max_attempts=3)
    job = store.get(job_id)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert (job.failure.code, "3 times" in job.failure.message) == ("worker-died", True)


def test_a_job_cancelled_while_its_worker_died_does_not_run_again(store: JobStore) -> None:
    job_id = add(store)
    claim(store)
    store.cancel(job_id)
    store.leases.reap(held(store), max_attempts=3)
    assert store.get(job_id).state is JobState.CANCELLED


def test_reaping_looks_again_before_it_takes(store: JobStore) -> None:
    """The sweeper read the job as held; meanwhile it succeeded."""
    job_id = add(store)
    taken = claim(store)
    seen = held(store)
    store.claims.succeed(taken, RESULT)
    assert not store.leases.reap(seen, max_attempts=1)
    assert store.get(job_id).state is JobState.SUCCEEDED


def test_the_newest_jobs_are_listed_first(store: JobStore) -> None:
    ids = [add(store) for _ in range(4)]
    claim(store)
    assert [job.id for job in store.latest(3, None)] == ids[:0:-1]
    assert [job.id for job in store.latest(10, JobState.PREPARING)] == ids[:1]
    assert store.counts() == {
        "queued": 3,
        "preparing": 1,
        "running": 0,
        "succeeded": 0,
        "failed": 0,
        "cancelled": 0,
    }


def test_of_known_jobs_those_that_changed_are_told(store: JobStore) -> None:
    ids = [add(store) for _ in range(4)]
    known = [store.get(job_id) for job_id in ids]
    assert store.changed_of(known) == []
    taken = claim(store)
    store.claims.report(taken, Progress("denoising", 1, 60))
    changed = sorted(store.changed_of(known), key=lambda job: ids.index(job.id))
    assert changed == [store.get(job_id) for job_id in ids]
    assert changed[0].queue_position is None
    store.cancel(ids[3])
    assert [job.id for job in store.changed_of(changed)] == ids[3:]
    store.claims.succeed(taken, RESULT)
    (first,) = store.changed_of([changed[0]])
    assert (first.id, first.result) == (ids[0], RESULT)
