"""Properties of the choice of the next job."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from ecurie.jobs.schedule import Held, Waiting, choose, left_after
from ecurie.jobs.turns import turns_from

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
        turn=st.integers(0, 10) | st.integers(0, 1000),
    ),
    max_size=20,
    unique_by=lambda job: job.seq,
)
held_states = st.builds(
    Held, model=st.sampled_from(MODELS), stack=st.sampled_from(STACKS), since=st.floats(0, 100)
)


def job(
    seq: int,
    *,
    priority: int = 0,
    model: str = "a",
    stack: str = "",
    overtaken_at: float | None = None,
    turn: int = 0,
) -> Waiting:
    return Waiting(f"job-{seq}", seq, priority, model, stack, overtaken_at, turn)


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


@given(waiting_jobs, held_states, st.floats(0, 200), st.floats(0, 50))
def test_an_urgent_job_is_next_whatever_is_held(
    jobs: list[Waiting], held: Held, now: float, max_overtake: float
) -> None:
    urgent = job(20_000, priority=2, model="z", stack="z", turn=10**6)
    assert choose([*jobs, urgent], held, now, max_overtake) == urgent


@given(waiting_jobs, held_states, st.floats(0, 200))
def test_without_overtaking_it_goes_strictly_by_turn(jobs: list[Waiting], held: Held, now: float) -> None:
    chosen = choose(jobs, held, now, 0)
    top = [job for job in jobs if job.priority == max(job.priority for job in jobs)]
    assert chosen == min(top, key=lambda job: (job.turn, job.seq), default=None)


@given(waiting_jobs, held_states, st.floats(0, 200), st.floats(0.1, 50))
def test_affinity_ends_with_the_visit(
    jobs: list[Waiting], held: Held, now: float, max_overtake: float
) -> None:
    """The first in turn is passed over by jobs of the held model only, and only while the visit lasts."""
    chosen = choose(jobs, held, now, max_overtake)
    if chosen is not None:
        first = min((job for job in jobs if job.priority == chosen.priority), key=lambda job: job.place)
        if first.model != chosen.model:
            assert chosen.model == held.model
            assert now - held.since < max_overtake


def test_a_long_backlog_alone_does_not_end_affinity() -> None:
    jobs = [job(1, model="b"), job(2, model="a")]
    assert choose(jobs, Held("a", "", since=9_990), 10_000, 30) == jobs[1]


def test_after_a_long_visit_the_oldest_job_s_model_is_next() -> None:
    jobs = [job(1, model="b"), job(2, model="a"), job(3, model="b", stack="s")]
    assert choose(jobs, Held("a", "s", since=100), 129, 30) == jobs[1]
    assert choose(jobs, Held("a", "s", since=100), 130, 30) == jobs[0]


def test_many_overdue_jobs_of_three_models_do_not_make_it_first_come_first_served() -> None:
    """The visit, not the age of the jobs, says when to go: else a long queue would switch at each job."""
    jobs = [job(seq, model=MODELS[seq % 3], overtaken_at=0) for seq in range(30)]
    held, order = Held("a", "", since=1000), []
    for now in range(1000, 1010):
        chosen = choose(jobs, held, now, 30)
        assert chosen is not None
        order.append(chosen.model)
        jobs.remove(chosen)
        held = held.after(chosen.model, chosen.stack, now)
    assert order == ["a"] * 10


def test_a_job_that_another_stack_overtook_too_long_goes_first_on_its_model() -> None:
    jobs = [job(1, stack="t", overtaken_at=100), job(2, stack="s")]
    held = Held("a", "s", since=100)
    assert choose(jobs, held, 129, 30) == jobs[1]
    assert choose(jobs, held, 130, 30) == jobs[0]


def test_a_visit_begins_with_the_model_and_goes_on_with_its_stacks() -> None:
    held = Held().after("a", "s", 10).after("a", "t", 20)
    assert held == Held("a", "t", since=10)
    assert held.after("b", "", 30) == Held("b", "", since=30)


@given(waiting_jobs, held_states, st.floats(1, 50))
def test_nobody_starves(jobs: list[Waiting], held: Held, max_overtake: float) -> None:
    """While an owner keeps sending jobs for what the worker holds, all others of the top priority run."""
    top = max((job.priority for job in jobs), default=0)
    remaining = [dataclasses.replace(job, overtaken_at=None) for job in jobs if job.priority == top]
    mine = {job.id for job in remaining}
    now, seq, steps, turn = 200.0, 20_000, 30, 0
    for _ in range(8 * len(jobs) + 1000 // steps + 8):
        now += max_overtake / 2
        seq += 1
        turn = max(turn + steps, min((job.turn for job in remaining), default=0))
        favoured = job(seq, priority=top, model=held.model or "a", stack=held.stack or "", turn=turn)
        waiting = [*remaining, favoured]
        chosen = choose(waiting, held, now, max_overtake)
        assert chosen is not None
        held = held.after(chosen.model, chosen.stack, now)
        remaining = left_after(chosen, waiting, now)
    assert not mine & {job.id for job in remaining}


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 100), st.sampled_from(MODELS)), min_size=1, max_size=30),
        min_size=2,
        max_size=4,
    )
)
def test_owners_who_wait_get_equal_shares_of_the_steps(owners: list[list[tuple[int, str]]]) -> None:
    """Exactly so without affinity: no two are further apart than one job."""
    lengths: dict[str, tuple[int, int]] = {}
    waiting: list[Waiting] = []
    for owner, wanted in enumerate(owners):
        turns = turns_from(0, [steps for steps, _ in wanted])
        for turn, (steps, model) in zip(turns, wanted, strict=True):
            waiting.append(job(len(waiting), model=model, turn=turn))
            lengths[waiting[-1].id] = owner, steps
    left = [len(wanted) for wanted in owners]
    served = [0] * len(owners)
    held = Held()
    while all(left):
        chosen = choose(waiting, held, 0, 0)
        assert chosen is not None
        waiting.remove(chosen)
        held = held.after(chosen.model, chosen.stack, 0)
        owner, steps = lengths[chosen.id]
        left[owner] -= 1
        served[owner] += steps
        assert max(served) - min(served) <= 100


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(MODELS), st.sampled_from(STACKS), st.integers(1, 60))
def test_one_job_does_not_wait_for_the_five_hundred_of_another_owner(
    model: str, stack: str, max_overtake: int
) -> None:
    """With affinity for the crowd's model and stack too: it waits at most for two visits."""
    waiting = [job(seq, stack="s", turn=turn) for seq, turn in enumerate(turns_from(0, [30] * 500))]
    mine = job(500, model=model, stack=stack, turn=0)
    waiting.append(mine)
    held, now, before = Held("a", "s", since=0), 0, 0
    while mine in waiting:
        chosen = choose(waiting, held, now, max_overtake)
        assert chosen is not None
        held = held.after(chosen.model, chosen.stack, now)
        waiting = left_after(chosen, waiting, now)
        mine = next((other for other in waiting if other.id == mine.id), mine)
        now, before = now + 1, before + 1
    assert before <= 2 * max_overtake + 2
