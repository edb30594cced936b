"""What is counted of jobs: each run once, whoever ends it and however often."""

from __future__ import annotations

import dataclasses
import json
import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from ecurie.domain import JobFailure, Seen, Setup, StackReport, Timings
from ecurie.engine.memory import Step
from ecurie.errors import LeaseLost
from ecurie.jobs import measures
from ecurie.jobs.counting import Counts, bucket_of, switch_of
from ecurie.jobs.database import transaction
from ecurie.jobs.figures import Waiting, count
from ecurie.jobs.measures import FINISHED, RETURNED, STEP, Measure
from ecurie.jobs.store import JobStore
from tests.unit.jobs.test_store import RESULT, add, claim, held

SEEN = Seen(steps=(0.03, 0.04, 7.0), previews=3, downloaded=1000, out_of_memory=("all-resident",))
MADE = dataclasses.replace(
    RESULT,
    setup=Setup("cuda", "float16", "Euler", {}, "text-to-host"),
    timings=Timings(0.1, 2.0, 0.3, 4.0, 0.5, 0.6),
    report=StackReport(weights_written=10, read=0.1, compute=0.2, restore=0.3, prompt_cached=True),
)


def counted(store: JobStore, measure: Measure, *labels: str) -> float:
    return store.figures.counted().get((measure.name, json.dumps(labels)), 0.0)


def outcomes(store: JobStore) -> dict[str, float]:
    return {outcome: counted(store, FINISHED, "sdxl-base", outcome) for outcome in measures.OUTCOMES}


def returned(store: JobStore) -> dict[str, float]:
    return {reason: number for reason in RETURNED.values if (number := counted(store, RETURNED, reason))}


def test_a_finished_job_is_counted_with_all_that_it_took(store: JobStore) -> None:
    add(store)
    store.claims.succeed(claim(store), MADE, SEEN)
    found = store.figures.counted()
    assert outcomes(store) == {"succeeded": 1, "failed": 0, "cancelled": 0}
    assert {name: value for (name, labels), value in found.items() if labels == '["sdxl-base"]'} == {
        "ecurie_images_total": 2,
        "ecurie_step_seconds_sum": pytest.approx(7.07),
    }
    assert counted(store, measures.ADAPTERS, "compute") == pytest.approx(0.2)
    assert counted(store, measures.PROMPTS, "hit") == counted(store, measures.MODELS, "hit") == 1
    assert counted(store, measures.LADDER, "text-to-host") == 1
    assert counted(store, measures.MEMORY_OUT, "all-resident") == 1
    assert (counted(store, measures.PREVIEWS), counted(store, measures.DOWNLOADED)) == (3, 1000)
    buckets = {
        json.loads(labels)[1]: value
        for (name, labels), value in found.items()
        if name == "ecurie_step_seconds_bucket"
    }
    assert buckets == {"0.05": 2, "10.0": 1}
    assert found["ecurie_switch_seconds_bucket", '["stack", "2.5"]'] == 1
    assert found["ecurie_job_phase_seconds_sum", '["denoise"]'] == pytest.approx(4)


def test_a_commit_that_is_repeated_is_counted_once(store: JobStore) -> None:
    add(store)
    taken = claim(store)
    for _ in range(3):
        store.claims.succeed(taken, MADE, SEEN)
    assert outcomes(store)["succeeded"] == 1
    assert counted(store, measures.PREVIEWS) == 3


def test_a_run_that_was_lost_counts_as_that_and_its_late_end_not_at_all(store: JobStore) -> None:
    add(store)
    stale = claim(store)
    store.leases.reap(held(store), max_attempts=3, silent=True)
    ends = (
        lambda: store.claims.succeed(stale, MADE, SEEN),
        lambda: store.claims.fail(stale, JobFailure("x", "x"), SEEN),
        lambda: store.claims.end_cancelled(stale, SEEN),
        lambda: store.claims.give_back(stale, SEEN),
    )
    for end in ends:
        with pytest.raises(LeaseLost):
            end()
    assert (returned(store), outcomes(store)) == ({"silent": 1}, dict.fromkeys(measures.OUTCOMES, 0))
    assert counted(store, measures.PREVIEWS) == 0


def test_every_way_to_leave_a_worker_is_told_apart(store: JobStore) -> None:
    for _ in range(3):
        add(store)
    store.claims.give_back(claim(store))
    store.claims.try_again(claim(store), JobFailure("storage-unavailable", "away"), 3)
    claim(store)
    store.leases.reap(held(store), max_attempts=3)
    assert returned(store) == {"interrupted": 1, "storage": 1, "dead": 1}
    store.claims.fail(claim(store), JobFailure("out-of-memory", "full"))
    claim(store)
    store.leases.reap(held(store), max_attempts=1)
    assert outcomes(store) == {"succeeded": 0, "failed": 2, "cancelled": 0}
    assert counted(store, measures.FAILED, "out-of-memory") == 1
    assert counted(store, measures.FAILED, "worker-died") == 1
    assert returned(store) == {"interrupted": 1, "storage": 1, "dead": 2}


def test_a_cancelled_job_counts_when_it_has_ended(store: JobStore) -> None:
    waits, runs, lost = add(store), add(store), add(store)
    store.cancel(waits)
    assert outcomes(store)["cancelled"] == 1
    taken = claim(store)
    assert store.cancel(runs).id == taken.job.id
    assert outcomes(store)["cancelled"] == 1
    store.claims.end_cancelled(taken, SEEN)
    claim(store)
    store.cancel(lost)
    store.leases.reap(held(store), max_attempts=3)
    assert (outcomes(store)["cancelled"], returned(store)) == (3, {"dead": 1})


def test_many_that_count_at_once_lose_nothing(store: JobStore) -> None:
    def add_up(number: int) -> None:
        for turn in range(20):
            counts = Counts()
            # In another order each time: who counts sorts them.
            for measure in measures.MEASURES[:: 1 if (number + turn) % 2 else -1]:
                counts.add(measure, "label")
            store.figures.count(counts)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_up, range(4)))
    assert {counted(store, measure, "label") for measure in measures.MEASURES} == {80}


def test_what_is_counted_of_an_end_that_is_not_written_is_not_kept(store: JobStore) -> None:
    counts = Counts()
    counts.add(STEP, "x")
    with pytest.raises(RuntimeError, match="odd"), transaction(store.database) as connection:  # noqa: PT012
        count(connection, counts)
        raise RuntimeError("odd")
    assert store.figures.counted() == {}


def test_the_queue_is_told_by_model_and_priority_with_its_oldest(store: JobStore) -> None:
    first, *_ = [add(store), add(store), add(store, priority=1), add(store, model="pony")]
    created = store.get(first).created_at.timestamp()
    waiting = {(group.model, group.priority): group for group in store.figures.waiting()}
    assert {key: group.count for key, group in waiting.items()} == {
        ("sdxl-base", 0): 2, ("sdxl-base", 1): 1, ("pony", 0): 1,
    }  # fmt: skip
    assert waiting["sdxl-base", 0] == Waiting("sdxl-base", 0, 2, pytest.approx(created))
    claim(store)
    assert ("sdxl-base", 1) not in {(group.model, group.priority) for group in store.figures.waiting()}


@pytest.mark.parametrize(
    ("value", "bucket"), [(0.0, "0.005"), (0.005, "0.005"), (0.0051, "0.01"), (60, "60.0"), (61, "+Inf")]
)
def test_a_value_falls_into_the_least_bucket_that_holds_it(value: float, bucket: str) -> None:
    assert bucket_of(STEP, value) == bucket


def test_a_switch_is_of_the_dearest_kind() -> None:
    whole = partial(dataclasses.replace, MADE)
    assert switch_of(whole(model_read=True)) == "model"
    assert switch_of(whole()) == "stack"
    assert switch_of(whole(report=StackReport())) == "none"


def test_the_steps_of_the_ladder_are_the_engine_s() -> None:
    assert list(measures.STEPS) == [step.label for step in Step]


def test_bounds_rise_and_names_are_prometheus_s() -> None:
    for measure in measures.MEASURES:
        assert list(measure.buckets) == sorted(set(measure.buckets))
        assert not any(map(math.isinf, measure.buckets))
        assert measure.name.endswith("_seconds" if measure.buckets else "_total")
