"""Random faults while jobs are sent, cancelled and run; at the end the history is checked."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ecurie.jobs.store import JobStore
from tests.conftest import Server, free_port
from tests.faults_run.checking import Evidence, problems
from tests.faults_run.clients import Wish, clients_of
from tests.faults_run.faults import ONE_MACHINE, Machine
from tests.faults_run.history import History
from tests.faults_run.processes import kill_all

MAX_ATTEMPTS, LEASE_SECONDS, READY_SHARE = 3, 3.0, 0.85


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


def run(plan: Plan, data_dir: Path) -> Outcome:
    """Raises AssertionError when the server does not come back or the jobs do not end."""
    chance = random.Random(plan.seed)
    wishes = [_wish(chance, plan.seconds) for _ in range(plan.jobs)]
    history, began = History(), time.monotonic()
    seeds = itertools.count(plan.seed * 1_000_000)
    with _server(data_dir) as server:
        machine = Machine(server, chance, LEASE_SECONDS)
        with clients_of(server.url, wishes, history, seeds) as clients:
            faults = _cause_faults(plan, machine)
            server.wait_until(lambda: clients.done, "done with sending", 120)
            server.wait_until(lambda: _idle(server), "done with every job", 300)
            for job_id in history.accepted_ids():
                history.saw(server.job(job_id), time.monotonic())
        server.stop()
        evidence = _evidence(server)
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


def _cause_faults(plan: Plan, machine: Machine) -> Counter[str]:
    chance = machine.chance
    kinds = chance.sample(plan.kinds, len(plan.kinds))
    kinds = (kinds + chance.choices(plan.kinds, k=plan.count))[: plan.count]
    for kind in kinds:
        if chance.random() < READY_SHARE:
            machine.server.wait_ready()
        time.sleep(chance.uniform(0, 2 * plan.gap))
        ONE_MACHINE[kind](machine)
    return Counter(kinds)


def _idle(server: Server) -> bool:
    waiting = ("queued", "preparing", "running")
    return not any(server.client.get(f"/jobs?limit=1&state={state}").json()["jobs"] for state in waiting)


@contextmanager
def _server(data_dir: Path) -> Iterator[Server]:
    """Every process of it is gone at the end, whatever happens."""
    limits = {"ECURIE_MAX_ATTEMPTS": str(MAX_ATTEMPTS), "ECURIE_LEASE_SECONDS": str(LEASE_SECONDS)}
    server = Server(data_dir, free_port(), ["--demo"], limits)
    try:
        yield server.wait_ready()
    finally:
        server.stop()
        kill_all(server)


def _evidence(server: Server) -> Evidence:
    store = JobStore(f"sqlite:///{server.data_dir / 'ecurie.db'}")
    jobs = {job.id: job for job in store.latest(10**6, None)}
    store.close()
    return Evidence(jobs, server.data_dir / "outputs", server.log, MAX_ATTEMPTS)
