"""Any sequence of what clients, workers and the sweeper do to the store, against a model of a few lines.

Workers may die or freeze at any time: each claim that was ever made may still act later.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ecurie.domain import FINAL_STATES, HELD_STATES, JobFailure, JobState, Progress
from ecurie.errors import JobCancelled, JobFinished, LeaseLost
from ecurie.jobs.claims import Claim
from ecurie.jobs.leases import HeldJob
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore
from tests.conftest import FUZZ_SECONDS, FUZZ_SEED
from tests.unit.jobs.test_store import RESULT, add

MAX_ATTEMPTS = 3
WORKERS = st.sampled_from(("w1", "w2"))


@dataclass(slots=True)
class Expected:
    """What the table must say of a job; `owner` is worker and attempt."""

    state: JobState = JobState.QUEUED
    attempts: int = 0
    cancelled: bool = False
    owner: tuple[str, int] | None = None

    def queue(self) -> None:
        self.state, self.owner = JobState.QUEUED, None

    def end(self, state: JobState) -> None:
        self.state, self.owner = state, None


class StoreMachine(RuleBasedStateMachine):
    claims: Bundle[Claim] = Bundle("claims")
    sights: Bundle[HeldJob] = Bundle("sights")

    template: Path
    """A database with the newest table, which each example copies."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.url = f"sqlite:///{shutil.copy(self.template, self.folder.name)}"
        self.store = JobStore(self.url)
        self.jobs: dict[str, Expected] = {}

    def teardown(self) -> None:
        """Everything is killed and starts again: nothing is forgotten."""
        self.store.close()
        self.store = JobStore(self.url)
        self.the_table_says_what_the_model_says()
        self.store.close()
        self.folder.cleanup()

    def owned(self, claim: Claim) -> Expected | None:
        job = self.jobs[claim.job.id]
        return job if job.owner == (claim.worker, claim.attempt) else None

    @precondition(lambda self: len([job for job in self.jobs.values() if job.state not in FINAL_STATES]) < 3)
    @rule()
    def submit(self) -> None:
        self.jobs[add(self.store)] = Expected()

    @rule(data=st.data())
    @precondition(lambda self: self.jobs)
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(list(self.jobs)))
        job = self.jobs[job_id]
        if job.state in FINAL_STATES:
            with pytest.raises(JobFinished):
                self.store.cancel(job_id)
            return
        self.store.cancel(job_id)
        job.cancelled = True
        if job.state is JobState.QUEUED:
            job.end(JobState.CANCELLED)

    @rule(target=claims, worker=WORKERS)
    def claim(self, worker: str) -> object:
        waiting = [job_id for job_id, job in self.jobs.items() if job.state is JobState.QUEUED]
        claim = self.store.claims.take(worker, Held(), lease_seconds=30, max_overtake=30)
        if claim is None:
            assert waiting == []
            return multiple()
        assert claim.job.id == waiting[0], "the oldest first"
        job = self.jobs[claim.job.id]
        job.state, job.attempts = JobState.PREPARING, job.attempts + 1
        job.owner = (worker, job.attempts)
        assert claim.attempt == job.attempts
        return claim

    @rule(claim=claims, step=st.integers(0, 2))
    def report(self, claim: Claim, step: int) -> None:
        job, progress = self.owned(claim), Progress("denoising", step, 60)
        if job is None or job.cancelled:
            with pytest.raises(LeaseLost if job is None else JobCancelled):
                self.store.claims.report(claim, progress)
        else:
            self.store.claims.report(claim, progress)
        if job is not None:
            job.state = JobState.RUNNING if step else JobState.PREPARING

    @rule(claim=claims, seconds=st.sampled_from((-10, 30)))
    def renew(self, claim: Claim, seconds: float) -> None:
        """Also into the past: a lease that has run out."""
        if self.owned(claim) is None:
            with pytest.raises(LeaseLost):
                self.store.claims.renew(claim, seconds)
            return
        self.store.claims.renew(claim, seconds)
        (held,) = (held for held in self.store.leases.held() if held.id == claim.job.id)
        assert (held.lease_until > self.store.leases.now()) is (seconds > 0)

    @rule(claim=consumes(claims), how=st.sampled_from(("succeeded", "failed", "cancelled", "given back")))
    def finish(self, claim: Claim, how: str) -> None:
        claims = self.store.claims
        act: dict[str, Callable[[], None]] = {
            "succeeded": lambda: claims.succeed(claim, RESULT),
            "failed": lambda: claims.fail(claim, JobFailure("odd", "odd")),
            "cancelled": lambda: claims.end_cancelled(claim),
            "given back": lambda: claims.give_back(claim),
        }
        job = self.owned(claim)
        if job is None:
            with pytest.raises(LeaseLost):
                act[how]()
            return
        act[how]()
        if how == "given back":
            job.queue()
            job.attempts -= 1
        else:
            job.end(JobState(how))

    @rule(claim=consumes(claims))
    def stop_the_worker(self, claim: Claim) -> None:
        """The supervisor ended it, and puts back what it held."""
        job = self.owned(claim)
        self.store.leases.return_to_queue(HeldJob(claim.job.id, claim.worker, claim.attempt, 0))
        if job is not None:
            job.queue()
            job.attempts -= 1

    @rule(target=sights)
    def sweep(self) -> object:
        held = self.store.leases.held()
        for job in held:
            self.reap(job)
        return multiple(*held)

    @rule(held=consumes(sights))
    def sweep_late(self, held: HeldJob) -> None:
        """On what was seen long ago."""
        self.reap(held)

    def reap(self, held: HeldJob) -> None:
        job = self.jobs[held.id]
        mine = job.owner == (held.worker, held.attempt)
        assert self.store.leases.reap(held, MAX_ATTEMPTS) is mine
        if not mine:
            return
        if job.cancelled:
            job.end(JobState.CANCELLED)
        elif held.attempt >= MAX_ATTEMPTS:
            job.end(JobState.FAILED)
        else:
            job.queue()

    @invariant()
    def the_table_says_what_the_model_says(self) -> None:
        for job_id, expected in self.jobs.items():
            job = self.store.get(job_id)
            assert (job.state, job.attempts) == (expected.state, expected.attempts)
            assert (job.finished_at is None) is (job.state not in FINAL_STATES)
            assert (job.result is not None) is (job.state is JobState.SUCCEEDED)
            assert (job.failure is not None) is (job.state is JobState.FAILED)
        held = {held.id: (held.worker, held.attempt) for held in self.store.leases.held()}
        assert held == {job_id: job.owner for job_id, job in self.jobs.items() if job.state in HELD_STATES}


def test_no_sequence_of_events_breaks_the_job_table(tmp_path: Path) -> None:
    StoreMachine.template = tmp_path / "jobs.db"
    JobStore(f"sqlite:///{StoreMachine.template}").close()
    given = settings(
        max_examples=round(10 * FUZZ_SECONDS),
        stateful_step_count=40,
        deadline=None,
        database=None,
        # Making a failure shorter takes minutes here.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    machine = StoreMachine if FUZZ_SEED is None else seed(FUZZ_SEED)(StoreMachine)
    run_state_machine_as_test(machine, settings=given)
