"""Whose jobs the supervisor takes away, with a clock of the test's own and a real store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql

from ecurie.domain import JobState
from ecurie.jobs.doorbell import NoBell
from ecurie.jobs.leases import HeldJob
from ecurie.jobs.store import JobStore
from ecurie.locks import ProcessLock
from ecurie.supervisor import Supervisor, WorkerOptions
from tests.unit.jobs.test_store import add, claim

LEASE = 30.0


class Clock:
    """The database's clock and this process's, standing still until they are moved."""

    def __init__(self) -> None:
        self._wall, self._steady = time.time(), 1000.0

    def time(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._steady

    def pass_by(self, seconds: float) -> None:
        self._wall += seconds
        self._steady += seconds

    def jump(self, seconds: float) -> None:
        self._wall += seconds


class World:
    """A job that the worker w1 holds; w1 lives as long as its lock is held, by this process."""

    def __init__(self, store: JobStore, folder: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch):
        self.store, self.clock = store, clock
        monkeypatch.setattr("ecurie.supervisor.time", clock)
        monkeypatch.setattr(store.leases, "now", clock.time)
        self.discarded: list[HeldJob] = []
        options = WorkerOptions({}, folder, 1, LEASE, max_attempts=3, count=0)
        self.supervisor = Supervisor(options, store, NoBell(), self.discarded.append, lambda: None)
        self.lock = ProcessLock(folder / "w1.lock")
        assert self.lock.acquire()
        self.job_id = add(store)
        self.claim = claim(store, "w1", lease=LEASE)

    def state_after_a_sweep(self) -> JobState:
        self.supervisor._sweep()
        return self.store.get(self.job_id).state


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    world = World(store, tmp_path / "workers", Clock(), monkeypatch)
    yield world
    world.lock.release()
    store.close()


def test_a_silent_worker_loses_its_job_when_its_lease_ends(world: World) -> None:
    world.clock.pass_by(LEASE - 5)
    assert world.state_after_a_sweep() is JobState.PREPARING
    world.clock.pass_by(10)
    assert world.state_after_a_sweep() is JobState.QUEUED
    assert [held.id for held in world.discarded] == [world.job_id]


def test_a_dead_worker_loses_its_job_at_once(world: World) -> None:
    world.lock.release()
    assert world.state_after_a_sweep() is JobState.QUEUED
    assert [held.id for held in world.discarded] == [world.job_id]


def test_nothing_is_discarded_of_a_job_that_ended_between_the_look_and_the_reaping(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = world.store.leases.held()
    world.store.claims.give_back(world.claim)
    monkeypatch.setattr(world.store.leases, "held", lambda: seen)
    world.lock.release()
    assert world.state_after_a_sweep() is JobState.QUEUED
    assert world.discarded == []


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_a_clock_that_jumps_takes_no_job_from_a_worker_that_lives(world: World, seconds: float) -> None:
    """As when a laptop wakes, or its clock is set; the worker then has one lease to renew."""
    world.clock.pass_by(5)
    assert world.state_after_a_sweep() is JobState.PREPARING
    world.clock.jump(seconds)
    assert world.state_after_a_sweep() is JobState.PREPARING
    world.clock.pass_by(LEASE - 1)
    assert world.state_after_a_sweep() is JobState.PREPARING
    world.clock.pass_by(2)
    expected = JobState.QUEUED if seconds > 0 else JobState.PREPARING
    assert world.state_after_a_sweep() is expected


def test_a_store_that_was_away_for_longer_than_a_lease_takes_no_job_either(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker could not renew its lease; when the store is back, it may come later than the sweep."""
    refusals = iter(range(2))

    def refuse() -> list[HeldJob]:
        if next(refusals, None) is None:
            world.supervisor._stopping.set()
        world.clock.pass_by(LEASE)
        raise sql.exc.OperationalError("SELECT", {}, Exception("the connection is lost"))

    with monkeypatch.context() as patch:
        patch.setattr(world.store.leases, "held", refuse)
        patch.setattr("ecurie.supervisor.PAUSE_AFTER_FAULT_SECONDS", 0.0)
        world.supervisor._watch()
    assert world.state_after_a_sweep() is JobState.PREPARING
    world.clock.pass_by(LEASE + 1)
    assert world.state_after_a_sweep() is JobState.QUEUED
