"""A worker's side of the job table: taking a job, and every change that it may make to the one it holds.

A change names the worker and the attempt: one that lost its lease changes nothing (LeaseLost).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from ecurie.domain import HELD_STATES, GenerationRequest, Job, JobFailure, JobResult, JobState, Progress
from ecurie.errors import JobCancelled, LeaseLost
from ecurie.jobs.rows import to_job, to_json
from ecurie.jobs.schedule import Held, Waiting, choose
from ecurie.jobs.table import jobs

CLAIM_WINDOW = 500
QUEUED_AGAIN = {"state": JobState.QUEUED, "worker": None, "lease_until": None, "phase": "queued", "step": 0}


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker holds: proof of ownership for every later change."""

    job: Job
    worker: str
    attempt: int


class Claims:
    """In the database of a JobStore."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def take(
        self,
        worker: str,
        held: Held,
        *,
        lease_seconds: float,
        max_overtake: float,
        models: Collection[str] | None = None,
    ) -> Claim | None:
        """Take the next job, of these models if any are given; None when nothing waits (or another worker was
        faster)."""
        served = sql.true() if models is None else jobs.c.model.in_(models)
        columns = (jobs.c.id, jobs.c.seq, jobs.c.priority, jobs.c.model, jobs.c.stack, jobs.c.overtaken_at)
        query = (
            sql.select(*columns)
            .where(jobs.c.state == JobState.QUEUED, served)
            .order_by(jobs.c.priority.desc(), jobs.c.seq)
            .limit(CLAIM_WINDOW)
        )
        with self._database.connect() as connection:
            waiting = [Waiting(*row) for row in connection.execute(query)]
            now = time.time()
            chosen = choose(waiting, held, now, max_overtake)
            if chosen is None:
                return None
            taken = (
                sql.update(jobs)
                .where(jobs.c.id == chosen.id, jobs.c.state == JobState.QUEUED)
                .values(
                    state=JobState.PREPARING,
                    worker=worker,
                    attempts=jobs.c.attempts + 1,
                    started_at=now,
                    lease_until=now + lease_seconds,
                    phase="preparing",
                    step=0,
                )
                .returning(*jobs.c)
            )
            row = connection.execute(taken).mappings().first()
            if row is not None:
                connection.execute(_overtaken_by(chosen, now).where(served))
        return None if row is None else Claim(to_job(row, None), worker, int(row["attempts"]))

    def renew(self, claim: Claim, lease_seconds: float) -> None:
        """Raises LeaseLost."""
        self._change(claim, lease_until=time.time() + lease_seconds)

    def report(self, claim: Claim, progress: Progress) -> None:
        """Write the progress. Raises LeaseLost, or JobCancelled when the client asked for it."""
        state = JobState.PREPARING if progress.step == 0 else JobState.RUNNING
        self._change(
            claim,
            state=state,
            phase=progress.phase,
            step=progress.step,
            total=progress.total,
            bytes_done=progress.bytes_done,
            bytes_total=progress.bytes_total,
        )
        self.check(claim)

    def settle(self, claim: Claim, request: GenerationRequest, stack: str) -> None:
        """Replace an unsettled request by what it became. Raises LeaseLost."""
        self._change(claim, request=to_json(request), stack=stack)

    def check(self, claim: Claim) -> None:
        """Raises LeaseLost when the job is no longer this worker's, JobCancelled when it is to stop."""
        query = sql.select(jobs.c.cancel_requested).where(*_owned(claim))
        with self._database.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LeaseLost(f"job {claim.job.id} was taken over")
        if row[0]:
            raise JobCancelled(f"job {claim.job.id} was cancelled")

    def succeed(self, claim: Claim, result: JobResult) -> None:
        """The commit of a job. Raises LeaseLost."""
        total = claim.job.request.total_steps
        ended = {"state": JobState.SUCCEEDED, "finished_at": time.time(), "phase": "done", "step": total}
        self._change(claim, **ended, result=to_json(result), lease_until=None)

    def fail(self, claim: Claim, failure: JobFailure) -> None:
        ended = {"state": JobState.FAILED, "finished_at": time.time(), "phase": "failed"}
        self._change(claim, **ended, failure=to_json(failure), lease_until=None)

    def end_cancelled(self, claim: Claim) -> None:
        ended = {"state": JobState.CANCELLED, "finished_at": time.time(), "phase": "cancelled"}
        self._change(claim, **ended, lease_until=None)

    def give_back(self, claim: Claim) -> None:
        """Return a job to the queue at its old place; this run does not count as an attempt."""
        self._change(claim, **QUEUED_AGAIN, attempts=jobs.c.attempts - 1)

    def _change(self, claim: Claim, **values: Any) -> None:
        query = sql.update(jobs).where(*_owned(claim)).values(**values)
        with self._database.connect() as connection:
            if not connection.execute(query).rowcount:
                raise LeaseLost(f"job {claim.job.id} was taken over")


def _overtaken_by(chosen: Waiting, now: float) -> sql.Update:
    """Marks the older jobs that `chosen` went before, once."""
    older = (
        jobs.c.state == JobState.QUEUED,
        jobs.c.priority == chosen.priority,
        jobs.c.seq < chosen.seq,
        jobs.c.overtaken_at.is_(None),
    )
    return sql.update(jobs).where(*older).values(overtaken_at=now)


def _owned(claim: Claim) -> Sequence[sql.ColumnElement[bool]]:
    return held_by(claim.job.id, claim.worker, claim.attempt)


def held_by(job_id: str, worker: str, attempt: int) -> Sequence[sql.ColumnElement[bool]]:
    """The condition that a job is still in these very hands."""
    return (
        jobs.c.id == job_id,
        jobs.c.worker == worker,
        jobs.c.attempts == attempt,
        jobs.c.state.in_(HELD_STATES),
    )
