"""Random faults while jobs are sent, cancelled and run; at the end the history is checked."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ecurie.jobs.store import JobStore
from tests.conftest import Server
from tests.faults_run.checking import Evidence, problems
from tests.faults_run.clients import Wish, clients_of
from tests.faults_run.faults import MAX_ATTEMPTS, OneMachine
from tests.faults_run.history import History

READY_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Plan:
    """`jobs` are sent over `seconds`. `count` faults of these kinds happen, each kind at least once if there
    are enough; most of them when a worker has been ready for a while, of `gap` seconds in the mean, the
    others earlier. The same seed draws the same requests, faults and waits."""

    jobs: int
    seed: int
    kinds: Sequence[str]
    count: int
    seconds: float
    gap: float


@dataclass(frozen=True, slots=True)
class Outcome:
    history: History
    faults: Counter[str]
    ends: Counter[str]
    attempts: Counter[int]
    seconds: float
    problems: list[str]


def run(plan: Plan, system: OneMachine) -> Outcome:
    """Raises AssertionError when the server does not come back or the jobs do not end."""
    chance, server = system.chance, system.server
    wishes = [_wish(chance, plan.seconds) for _ in range(plan.jobs)]
    history, began = History(), time.monotonic()
    with clients_of(server.url, wishes, history, itertools.count(plan.seed * 1_000_000)) as clients:
        faults = _cause_faults(plan, system)
        server.wait_until(lambda: clients.done, "done with sending", plan.seconds + 120)
        _wait_for_the_rest(server)
        for job_id in history.accepted_ids():
            history.saw(server.job(job_id), time.monotonic())
    system.stop()
    evidence = _evidence(system)
    return Outcome(
        history,
        faults,
        Counter(job.state.value for job in evidence.jobs.values()),
        Counter(job.attempts for job in evidence.jobs.values()),
        time.monotonic() - began,
        problems(history, evidence),
    )


def _wish(chance: random.Random, seconds: float) -> Wish:
    fields = {
        "prompt": "red apple",
        "model": chance.choices(("sdxl-base", "pony-xl-v6"), (4, 1))[0],
        "steps": chance.randint(1, 3),
        "num_images": chance.randint(1, 4),
    }
    cancel_after = chance.uniform(0, 2) if chance.random() < 0.1 else None
    return Wish(chance.uniform(0, seconds), fields, cancel_after)


def _cause_faults(plan: Plan, system: OneMachine) -> Counter[str]:
    chance = system.chance
    kinds = chance.sample(plan.kinds, len(plan.kinds))
    kinds = (kinds + chance.choices(plan.kinds, k=plan.count))[: plan.count]
    for kind in kinds:
        if chance.random() < READY_SHARE:
            system.server.wait_ready()
        time.sleep(chance.uniform(0, 2 * plan.gap))
        system.faults[kind]()
    return Counter(kinds)


def _wait_for_the_rest(server: Server) -> None:
    """As long as jobs keep ending: a busy machine may take its time."""
    left = _unfinished(server)
    while left:
        server.wait_until(partial(_fewer, server, left), "done with another job", 120)
        left = _unfinished(server)


def _fewer(server: Server, than: int) -> bool:
    return _unfinished(server) < than


def _unfinished(server: Server) -> int:
    counts = server.client.get("/system").json()["jobs"]
    return sum(counts[state] for state in ("queued", "preparing", "running"))


def _evidence(system: OneMachine) -> Evidence:
    store = JobStore(system.store_url)
    jobs = {job.id: job for job in store.latest(10**6, None)}
    store.close()
    return Evidence(jobs, system.server.data_dir / "outputs", system.log, MAX_ATTEMPTS)
