"""Any sequence of what clients, workers and the sweeper do to the store, against a model of it.

Workers may die or freeze at any time: each claim that was ever made may still act later. At the end all
that is left is run, so that every job that was accepted has ended, in one state.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable
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

from ecurie.domain import FINAL_STATES, HELD_STATES, JobFailure, JobState, Priority, Progress
from ecurie.errors import JobCancelled, JobFinished, JobStarted, LeaseLost, UnknownJob
from ecurie.jobs.claims import Claim
from ecurie.jobs.ended import EndedJobs
from ecurie.jobs.leases import HeldJob
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore
from tests.conftest import FUZZ_SECONDS, FUZZ_SEED
from tests.unit.jobs.expected import LONGEST_STEPS, ExpectedJob, ExpectedTable, Fairness
from tests.unit.jobs.test_store import REQUEST, RESULT

MAX_ATTEMPTS = 3
MOST_UNFINISHED = 8
WORKERS = st.sampled_from(("w1", "w2"))
SENDERS = st.sampled_from(("a", "b", "c"))
PRIORITIES = st.sampled_from((*Priority, Priority.NORMAL, Priority.NORMAL))
FAILURE = JobFailure("odd", "odd")


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
        self.table = ExpectedTable()
        self.fairness = Fairness(self.table)
        self.restarted = False

    def teardown(self) -> None:
        """Everything is killed and starts again: nothing is forgotten, and what is left ends."""
        self.reopen()
        self.the_table_says_what_the_model_says()
        for held in self.store.leases.held():
            self.reap(held)
        while (claim := self.claim("last")) is not None:
            self.finish(claim, "succeeded", repeated=False)
        self.the_table_says_what_the_model_says()
        assert {job.state for job in self.table.jobs.values()} <= FINAL_STATES
        self.store.close()
        self.folder.cleanup()

    def reopen(self) -> None:
        self.store.close()
        self.store = JobStore(self.url)

    @precondition(lambda self: not self.restarted and self.table.jobs)
    @rule()
    def restart(self) -> None:
        self.restarted = True
        self.reopen()

    def owned(self, claim: Claim) -> ExpectedJob | None:
        job = self.table.jobs.get(claim.job.id)
        return job if job is not None and job.holder == (claim.worker, claim.attempt) else None

    def any_job(self, data: st.DataObject) -> ExpectedJob:
        return data.draw(st.sampled_from(list(self.table.jobs.values())))

    @precondition(
        lambda self: (
            len([job for job in self.table.jobs.values() if job.state not in FINAL_STATES]) < MOST_UNFINISHED
        )
    )
    @rule(sender=SENDERS, priority=PRIORITIES, images=st.integers(1, 3))
    def submit(self, sender: str, priority: Priority, images: int) -> None:
        request = dataclasses.replace(REQUEST, num_images=images)
        assert request.total_steps <= LONGEST_STEPS
        job = self.store.add(request, priority=priority, stack="", max_queue=100, owner=sender)
        self.table.submit(job.id, sender, priority, request.total_steps)

    @precondition(lambda self: self.table.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job = self.any_job(data)
        if job.state in FINAL_STATES:
            with pytest.raises(JobFinished):
                self.store.cancel(job.id)
            return
        self.store.cancel(job.id)
        job.cancelled = True
        if job.state is JobState.QUEUED:
            job.end(JobState.CANCELLED)
            self.fairness.disturbed(job)

    @precondition(lambda self: self.table.jobs)
    @rule(data=st.data(), priority=PRIORITIES)
    def set_priority(self, data: st.DataObject, priority: Priority) -> None:
        job = self.any_job(data)
        if job.state is not JobState.QUEUED:
            with pytest.raises(JobFinished if job.state in FINAL_STATES else JobStarted):
                self.store.set_priority(job.id, priority)
            return
        self.store.set_priority(job.id, priority)
        self.table.move(job, priority)
        self.fairness.disturbed(job)

    @rule(target=claims, worker=WORKERS)
    def take(self, worker: str) -> object:
        claim = self.claim(worker)
        return multiple() if claim is None else claim

    def claim(self, worker: str) -> Claim | None:
        order = self.table.order
        claim = self.store.claims.take(worker, Held(), lease_seconds=30, max_overtake=30)
        if claim is None:
            assert order == []
            return None
        job = order[0]
        assert claim.job.id == job.id
        self.fairness.serve(job)
        job.state, job.attempts = JobState.PREPARING, job.attempts + 1
        job.holder = (worker, job.attempts)
        assert claim.attempt == job.attempts
        return claim

    @rule(claim=claims, step=st.integers(0, 2))
    def report(self, claim: Claim, step: int) -> None:
        job, progress = self.owned(claim), Progress("denoising", step, claim.job.request.total_steps)
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

    @rule(
        claim=consumes(claims),
        how=st.sampled_from(("succeeded", "failed", "cancelled", "given back", "tried again")),
        repeated=st.booleans(),
    )
    def finish(self, claim: Claim, how: str, repeated: bool) -> None:
        """`repeated`: the answer to it was lost, so it is said once more."""
        claims = self.store.claims
        act: dict[str, Callable[[], None]] = {
            "succeeded": lambda: claims.succeed(claim, RESULT),
            "failed": lambda: claims.fail(claim, FAILURE),
            "cancelled": lambda: claims.end_cancelled(claim),
            "given back": lambda: claims.give_back(claim),
            "tried again": lambda: claims.try_again(claim, FAILURE, MAX_ATTEMPTS),
        }
        job = self.owned(claim)
        if job is None:
            with pytest.raises(LeaseLost):
                act[how]()
            return
        act[how]()
        self.expect_end(job, how)
        if repeated and how == "succeeded":
            act[how]()
        elif repeated:
            with pytest.raises(LeaseLost):
                act[how]()

    def expect_end(self, job: ExpectedJob, how: str) -> None:
        if how == "given back":
            job.attempts -= 1
        if how == "given back" or (how == "tried again" and job.attempts < MAX_ATTEMPTS):
            self.table.queue_again(job)
            self.fairness.disturbed(job)
        else:
            job.commits += how == "succeeded"
            job.end(JobState.FAILED if how == "tried again" else JobState(how))

    @rule(claim=consumes(claims))
    def stop_the_worker(self, claim: Claim) -> None:
        """The supervisor ended it, and puts back what it held."""
        job = self.owned(claim)
        self.store.leases.return_to_queue(HeldJob(claim.job.id, claim.worker, claim.attempt, 0, claim.model))
        if job is not None:
            self.expect_end(job, "given back")

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
        job = self.table.jobs.get(held.id)
        mine = job is not None and job.holder == (held.worker, held.attempt)
        assert self.store.leases.reap(held, MAX_ATTEMPTS) is mine
        if job is None or not mine:
            return
        if job.cancelled:
            job.end(JobState.CANCELLED)
        else:
            self.expect_end(job, "tried again")

    @rule(old=st.booleans())
    def forget(self, old: bool) -> None:
        """Retention: what ended long ago, or so far, is removed."""
        moment = time.time() + (1 if old else -1000)
        ended = [job for job in self.table.jobs.values() if job.state in FINAL_STATES and old]
        removed = EndedJobs(self.store.database).remove_jobs_before(moment, images_must_be_gone=False)
        assert removed == len(ended)
        self.table.forget(ended)

    @invariant()
    def the_table_says_what_the_model_says(self) -> None:
        self.fairness.look()
        found = {job.id: job for job in self.store.latest(500, None)}
        assert found.keys() == self.table.jobs.keys()
        places = {job.id: number for number, job in enumerate(self.table.order, start=1)}
        for job_id, expected in self.table.jobs.items():
            job = found[job_id]
            assert (job.state, job.attempts, job.owner) == (
                expected.state,
                expected.attempts,
                expected.sender,
            )
            assert (job.priority, job.queue_position) == (expected.priority, places.get(job_id))
            assert (job.finished_at is None) is (job.state not in FINAL_STATES)
            assert (job.result is not None) is (job.state is JobState.SUCCEEDED)
            assert (job.failure is not None) is (job.state is JobState.FAILED)
            assert expected.commits == (job.state is JobState.SUCCEEDED)
            assert job.attempts <= MAX_ATTEMPTS
        held = {held.id: (held.worker, held.attempt) for held in self.store.leases.held()}
        jobs = self.table.jobs.values()
        assert held == {job.id: job.holder for job in jobs if job.state in HELD_STATES}
        for job_id in self.table.forgotten:
            with pytest.raises(UnknownJob):
                self.store.get(job_id)


def test_no_sequence_of_events_breaks_the_job_table(tmp_path: Path) -> None:
    StoreMachine.template = tmp_path / "jobs.db"
    JobStore(f"sqlite:///{StoreMachine.template}").close()
    given = settings(
        max_examples=round(10 * FUZZ_SECONDS),
        stateful_step_count=50,
        deadline=None,
        database=None,
        # Making a failure shorter takes minutes here.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    machine = StoreMachine if FUZZ_SEED is None else seed(FUZZ_SEED)(StoreMachine)
    run_state_machine_as_test(machine, settings=given)
