"""Properties of the choice of the next job."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from ecurie.jobs.schedule import Held, Waiting, choose

MODELS, STACKS = ("a", "b", "c"), ("", "s", "t")
waiting_jobs = st.lists(
    st.builds(
        Waiting,
        id=st.uuids().map(str),
        seq=st.integers(0, 10_000),
        priority=st.integers(-1, 1),
        model=st.sampled_from(MODELS),
        stack=st.sampled_from(STACKS),
        overtaken_at=st.none() | st.floats(0, 100),
    ),
    max_size=20,
    unique_by=lambda job: job.seq,
)
held_states = st.builds(Held, model=st.sampled_from(MODELS), stack=st.sampled_from(STACKS))


def job(
    seq: int, *, priority: int = 0, model: str = "a", stack: str = "", overtaken_at: float | None = None
) -> Waiting:
    return Waiting(f"job-{seq}", seq, priority, model, stack, overtaken_at)


def test_nothing_waits_nothing_is_chosen() -> None:
    assert choose([], Held(), 0, 30) is None


def test_the_stack_that_is_held_goes_before_the_model_and_the_model_before_age() -> None:
    jobs = [job(1, model="b"), job(2, model="a", stack="t"), job(3, model="a", stack="s")]
    held = Held("a", "s")
    assert choose(jobs, held, 0, 30) == jobs[2]
    assert choose(jobs[:2], held, 0, 30) == jobs[1]
    assert choose(jobs[:1], held, 0, 30) == jobs[0]


def test_a_stack_counts_only_on_its_model() -> None:
    jobs = [job(1, model="b", stack="s"), job(2, model="a", stack="t")]
    assert choose(jobs, Held("a", "s"), 0, 30) == jobs[1]


@given(waiting_jobs, held_states, st.floats(0, 200), st.floats(0, 50))
def test_the_choice_has_the_highest_priority_and_ignores_the_order_of_the_list(
    jobs: list[Waiting], held: Held, now: float, max_overtake: float
) -> None:
    chosen = choose(jobs, held, now, max_overtake)
    assert choose(list(reversed(jobs)), held, now, max_overtake) == chosen
    if chosen is not None:
        assert chosen.priority == max(job.priority for job in jobs)


def test_a_long_backlog_alone_does_not_end_affinity() -> None:
    jobs = [job(1, model="b"), job(2, model="a")]
    assert choose(jobs, Held("a", ""), 10_000, 30) == jobs[1]


def test_a_job_overtaken_too_long_goes_first() -> None:
    jobs = [job(1, model="b", overtaken_at=100), job(2, model="a")]
    assert choose(jobs, Held("a", ""), 129, 30) == jobs[1]
    assert choose(jobs, Held("a", ""), 130, 30) == jobs[0]


@given(waiting_jobs, held_states, st.floats(1, 50))
def test_nobody_starves(jobs: list[Waiting], held: Held, max_overtake: float) -> None:
    """While favoured jobs keep coming, one a `max_overtake`, every job of the top priority still runs."""
    top = max((job.priority for job in jobs), default=0)
    remaining = [dataclasses.replace(job, overtaken_at=None) for job in jobs if job.priority == top]
    mine = {job.id for job in remaining}
    now, seq = 100.0, 20_000
    for _ in range(2 * len(jobs) + 2):
        now += max_overtake
        seq += 1
        favoured = job(seq, priority=top, model=held.model or "a", stack=held.stack or "")
        waiting = [*remaining, favoured]
        chosen = choose(waiting, held, now, max_overtake)
        assert chosen is not None
        remaining = [
            dataclasses.replace(job, overtaken_at=now)
            if job.overtaken_at is None and job.seq < chosen.seq
            else job
            for job in waiting
            if job is not chosen
        ]
    assert not mine & {job.id for job in remaining}
