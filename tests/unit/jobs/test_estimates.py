"""What is foreseen from a queue, what runs, and what was measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecurie.jobs.estimates import Ended, Measured, Pace, Queued, Running, Times, end_of, foresee, measure
from ecurie.jobs.schedule import Held, Waiting

NOW = 1000.0
FAST, SLOW = Pace(1, 0.1, 1), Pace(1, 1, 1)
MEASURED = Measured({"fast": FAST, "slow": SLOW}, model_switch=5, stack_switch=2)


def queued(number: int, model: str = "fast", stack: str = "", priority: int = 0) -> Queued:
    return Queued(Waiting(f"job{number}", number, priority, model, stack), steps=10)


def running(step: int, drawing_at: float | None, model: str = "fast", steps: int = 10) -> Running:
    return Running("now", "w1", model, "", step, steps, NOW - 10, drawing_at)


def starts(
    jobs: list[Queued], workers: dict[str, Held], *held: Running, measured: Measured = MEASURED
) -> dict[str, float | None]:
    """Seconds from now."""
    outlook = foresee(jobs, held, workers, measured, NOW, 60)
    return {
        job.job.id: None if (start := outlook.times.get(job.job.id, Times()).start) is None else start - NOW
        for job in jobs
    }


def test_jobs_follow_each_other_by_their_measured_times() -> None:
    jobs = [queued(1), queued(2), queued(3)]
    assert starts(jobs, {"w1": Held("fast", "")}) == {"job1": 0, "job2": 3, "job3": 6}


def test_what_a_switch_takes_counts() -> None:
    jobs = [queued(1, stack="a"), queued(2, stack="a"), queued(3, "slow")]
    found = starts(jobs, {"w1": Held("fast", "", NOW)})
    assert found == {"job1": 0, "job2": 3 + 2, "job3": 3 + 2 + 3}
    outlook = foresee(jobs, [], {"w1": Held("fast", "", NOW)}, MEASURED, NOW, 60)
    assert outlook.times["job3"].end == NOW + 8 + 5 + 12


def test_the_order_is_that_of_the_scheduler() -> None:
    """Priority, then the model that the worker holds, then arrival."""
    jobs = [queued(1, "slow"), queued(2, "fast"), queued(3, "slow", priority=1)]
    outlook = foresee(jobs, [], {"w1": Held("fast", "", NOW)}, MEASURED, NOW, 60)
    assert outlook.order == ("job3", "job1", "job2")


def test_a_worker_leaves_its_model_when_its_visit_is_over() -> None:
    """Jobs of the held model go first for `max_overtake` seconds only."""
    jobs = [queued(1, "slow"), *(queued(number, "fast") for number in range(2, 40))]
    order = foresee(jobs, [], {"w1": Held("fast", "", NOW)}, MEASURED, NOW, 60).order
    assert order.index("job1") == 20


def test_several_workers_share_the_queue() -> None:
    jobs = [queued(number) for number in range(1, 5)]
    workers = {"w1": Held("fast", ""), "w2": Held("fast", "")}
    assert starts(jobs, workers) == {"job1": 0, "job2": 0, "job3": 3, "job4": 3}


def test_a_queued_job_waits_for_the_running_one() -> None:
    job = running(step=5, drawing_at=NOW - 4.5, steps=9)
    end = end_of(job, MEASURED, NOW)
    assert end == NOW + 4 * 1 + 1
    assert starts([queued(1)], {"w1": Held()}, job) == {"job1": 5}


@pytest.mark.parametrize(
    ("job", "left"),
    [
        (running(0, None), 1.0),  # ten seconds gone of three: at least what comes after the steps
        (running(0, None, "slow"), 2.0),
        (running(1, NOW - 1, "slow"), -1 + 9 + 1),
        (running(6, NOW - 11, "slow"), 4 * 2 + 1),  # slower than others of its model
        (running(6, NOW - 11, "unknown"), 4 * 2 + 1),
    ],
)
def test_the_end_of_a_running_job_comes_from_its_own_steps_once_there_are_some(
    job: Running, left: float
) -> None:
    assert end_of(job, MEASURED, NOW) == NOW + left


def test_nothing_is_made_up() -> None:
    nothing = Measured()
    assert end_of(running(1, NOW), nothing, NOW) is None
    assert starts([queued(1), queued(2)], {"w1": Held()}, measured=nothing) == {"job1": 0, "job2": None}
    assert starts([queued(1)], {"w1": Held()}, running(1, NOW), measured=nothing) == {"job1": None}
    assert starts([queued(1)], {}) == {"job1": None}
    download = Running("now", "w1", "fast", "", 0, 10, NOW - 1, None, waits=True)
    assert end_of(download, MEASURED, NOW) is None


def test_jobs_behind_those_that_are_played_through_have_the_same_pause_each() -> None:
    outlook = foresee([queued(1), queued(2)], [], {"w1": Held("fast", "")}, MEASURED, NOW, 60)
    assert [outlook.behind(position).start for position in (3, 4, 13)] == [NOW + 6, NOW + 9, NOW + 36]
    assert foresee([queued(1)], [], {}, MEASURED, NOW, 60).behind(2) == Times()


def ended(worker: str, at: float, model: str, stack: str = "", **times: float) -> Ended:
    values = {"before": 1.0, "switch": 0.0, "denoise": 20.0, "after": 1.0} | times
    return Ended(worker, model, stack, 10, at, **values)


def test_medians_are_by_model_and_switches_by_what_the_same_worker_did_before() -> None:
    found = measure(
        [
            ended("w1", 1, "a", switch=9),
            ended("w2", 2, "b", switch=7, denoise=200),
            ended("w1", 3, "a", switch=0.1),
            ended("w1", 4, "a", "style", switch=2, denoise=30),
            ended("w2", 5, "a", "style", switch=8, denoise=1000),
        ]
    )
    assert found.paces["a"] == Pace(1, 2.5, 1)
    assert (found.model_switch, found.stack_switch) == (8, 2)
    assert found.pace("b") == Pace(1, 20, 1)
    assert found.pace("never seen") == Pace(1, 11.25, 1)
    assert measure([]).pace("a") is None


@given(
    st.lists(
        st.tuples(st.sampled_from(["fast", "slow"]), st.sampled_from(["", "a"]), st.integers(0, 2)),
        max_size=25,
    ),
    st.integers(1, 3),
)
def test_every_job_starts_once_and_no_worker_does_two_at_a_time(
    kinds: list[tuple[str, str, int]], count: int
) -> None:
    jobs = [queued(number, *kind) for number, kind in enumerate(kinds)]
    outlook = foresee(jobs, [], {f"w{k}": Held() for k in range(count)}, MEASURED, NOW, 60)
    assert sorted(outlook.order) == sorted(job.job.id for job in jobs)
    moments = sorted(
        moment for times in outlook.times.values() for moment in ((times.start or 0, 1), (times.end or 0, -1))
    )
    busy = 0
    for _, change in sorted(moments, key=lambda one: (one[0], one[1])):
        busy += change
        assert busy <= count
