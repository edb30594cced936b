"""Priority classes, and fairness among owners, by a real store."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from ecurie.domain import JobState, Priority
from ecurie.errors import JobFinished, JobStarted, UnknownJob
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore, New
from tests.unit.jobs.test_store import REQUEST, RESULT

STEPS = REQUEST.total_steps


def send(store: JobStore, owner: str, count: int = 1, *, priority: int = 0, **changes: object) -> list[str]:
    request = dataclasses.replace(REQUEST, **changes)  # type: ignore[arg-type]
    return store.add_all([New(request, "")] * count, priority=priority, max_queue=10**6, owner=owner)


def run_next(store: JobStore, models: list[str] | None = None) -> str | None:
    """Strictly by turn; the job's id."""
    claim = store.claims.take("w1", Held(), lease_seconds=30, max_overtake=0, models=models)
    if claim is None:
        return None
    store.claims.succeed(claim, RESULT)
    return claim.job.id


def test_one_job_does_not_wait_for_the_many_of_another_owner(store: JobStore) -> None:
    many = [job_id for _ in range(3) for job_id in send(store, "crowd", 500)]
    (mine,) = send(store, "me")
    assert store.get(mine).queue_position == 2
    assert [run_next(store) for _ in range(3)] == [many[0], mine, many[1]]


def test_owners_who_wait_take_turns_in_steps_not_in_jobs(store: JobStore) -> None:
    long = send(store, "a", 2, num_images=4)
    short = send(store, "b", 8, num_images=1)
    assert [run_next(store) for _ in range(10)] == [long[0], *short[:4], long[1], *short[4:]]


def test_owners_who_send_one_job_after_the_other_do_not_starve_a_queue(store: JobStore) -> None:
    """Two of them, so that one always waits while the other's job runs."""
    queue = send(store, "queue", 4)
    sent = {owner: send(store, owner)[0] for owner in ("x", "y")}
    served = []
    for _ in range(12):
        job_id = run_next(store)
        assert job_id is not None
        served.append(job_id)
        for owner, waiting in list(sent.items()):
            if waiting == job_id:
                sent[owner] = send(store, owner)[0]
    assert [place for place, job_id in enumerate(served) if job_id in queue] == [0, 3, 6, 9]


def test_who_comes_to_an_empty_queue_does_not_overtake_those_who_were_served_before(store: JobStore) -> None:
    send(store, "old", 20)
    for _ in range(20):
        run_next(store)
    new, old = send(store, "new", 10), send(store, "old", 10)
    order = [run_next(store) for _ in range(20)]
    assert order.index(old[1]) <= 4
    assert order.index(new[1]) <= 4


def test_cancelled_jobs_cost_no_turn(store: JobStore) -> None:
    for job_id in send(store, "hasty", 50):
        store.cancel(job_id)
    others = send(store, "other", 3)
    (mine,) = send(store, "hasty")
    assert [run_next(store) for _ in range(2)] == [others[0], mine]


def test_a_class_goes_before_the_next_whatever_the_turns(store: JobStore) -> None:
    batch = send(store, "a", 2, priority=Priority.BATCH)
    normal = send(store, "b", 2)
    urgent = send(store, "b", priority=Priority.INTERACTIVE)
    assert [run_next(store) for _ in range(5)] == [*urgent, *normal, *batch]


def test_a_worker_takes_jobs_of_its_models_only(store: JobStore) -> None:
    send(store, "a", priority=Priority.INTERACTIVE, model="far")
    (near,) = send(store, "a", model="near")
    assert run_next(store, ["near", "other"]) == near
    assert run_next(store, ["near", "other"]) is None
    assert run_next(store, []) is None


def test_a_queued_job_moves_to_another_class_behind_its_owner_s_jobs_there(store: JobStore) -> None:
    urgent = send(store, "a", 2, priority=Priority.INTERACTIVE)
    moved, stays = send(store, "a", 2, priority=Priority.BATCH)
    job = store.set_priority(moved, Priority.INTERACTIVE)
    assert (job.priority, job.queue_position) == (Priority.INTERACTIVE, 3)
    assert store.set_priority(moved, Priority.INTERACTIVE) == job
    assert [run_next(store) for _ in range(4)] == [*urgent, moved, stays]


def test_only_a_queued_job_moves(store: JobStore) -> None:
    held, done = send(store, "a", 2)
    with pytest.raises(UnknownJob):
        store.set_priority("nope", Priority.BATCH)
    claim = store.claims.take("w1", Held(), lease_seconds=30, max_overtake=0)
    assert claim is not None
    with pytest.raises(JobStarted, match="runs already"):
        store.set_priority(held, Priority.BATCH)
    store.cancel(done)
    with pytest.raises(JobFinished, match="cancelled"):
        store.set_priority(done, Priority.BATCH)
    assert {store.get(job_id).priority for job_id in (held, done)} == {Priority.NORMAL}
    assert store.get(done).state is JobState.CANCELLED


def test_the_same_sends_give_the_same_order(store: JobStore) -> None:
    sent = [send(store, owner, count)[0] for owner, count in itertools.product("abc", (2, 1))]
    positions = [store.get(job_id).queue_position for job_id in sent]
    assert positions == [1, 7, 2, 8, 3, 9]
