"""A worker's side of the job table: taking a job, and every change that it may make to the one it holds.

A change names the worker and the attempt: one that lost its lease changes nothing (LeaseLost).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql
from sqlalchemy.exc import OperationalError

from ecurie.domain import (
    HELD_STATES,
    NOTHING_SEEN,
    GenerationRequest,
    Job,
    JobFailure,
    JobResult,
    JobState,
    Progress,
    Seen,
)
from ecurie.errors import JobCancelled, LeaseLost
from ecurie.jobs import counting
from ecurie.jobs.clock import database_time
from ecurie.jobs.counting import Counts
from ecurie.jobs.database import transaction
from ecurie.jobs.figures import count
from ecurie.jobs.gallery import searched
from ecurie.jobs.owners import own_outputs
from ecurie.jobs.previews import forget_preview, keep_preview
from ecurie.jobs.rows import to_job, to_json, to_request
from ecurie.jobs.schedule import Held, Waiting, choose, foresee
from ecurie.jobs.table import jobs

CLAIM_WINDOW = 500
"""Jobs among which affinity may choose: the first in turn."""
QUEUED_AGAIN = {"state": JobState.QUEUED, "worker": None, "lease_until": None, "phase": "queued", "step": 0}


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker holds: proof of ownership for every later change."""

    job: Job
    worker: str
    attempt: int

    @property
    def model(self) -> str:
        return self.job.request.model


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
        """Take the next job, or None when nothing waits; with `models`, of those that are for one of them."""
        with self._database.connect() as connection:
            while waiting := _waiting(connection, models):
                now = time.time()
                chosen = choose(waiting, held, now, max_overtake)
                assert chosen is not None
                row = connection.execute(_taken(chosen, worker, now, lease_seconds)).mappings().first()
                if row is not None:
                    _mark_overtaken(connection, waiting, chosen, now)
                    return Claim(to_job(row, None), worker, int(row["attempts"]))
                # Another worker was faster.
        return None

    def upcoming(
        self, held: Held, count: int, *, max_overtake: float, models: Collection[str] | None = None
    ) -> list[tuple[str, GenerationRequest]]:
        """Id and request of the jobs that `take` would give next, one after the other; none is taken."""
        with self._database.connect() as connection:
            next_ones = foresee(_waiting(connection, models), held, time.time(), max_overtake, count)
            query = sql.select(jobs.c.id, jobs.c.request).where(jobs.c.id.in_([one.id for one in next_ones]))
            found = {row.id: to_request(row.request) for row in connection.execute(query)}
        return [(one.id, found[one.id]) for one in next_ones if one.id in found]

    def renew(self, claim: Claim, lease_seconds: float) -> None:
        """Raises LeaseLost."""
        self._change(claim, lease_until=database_time() + lease_seconds)

    def report(self, claim: Claim, progress: Progress) -> None:
        """Write the progress, and its preview if there is a new one.

        Raises LeaseLost, or JobCancelled when the client asked for it.
        """
        # First: who follows jobs looks when the row of the job changes.
        if progress.preview is not None:
            with self._database.connect() as connection:
                keep_preview(connection, claim.job.id, progress.preview, _owned(claim))
        state = JobState.PREPARING if progress.step == 0 else JobState.RUNNING
        self._change(
            claim,
            state=state,
            phase=progress.phase,
            step=progress.step,
            total=progress.total,
            bytes_done=progress.bytes_done,
            bytes_total=progress.bytes_total,
            drawing_at=sql.func.coalesce(jobs.c.drawing_at, time.time()) if progress.step else None,
        )
        self.check(claim)

    def settle(self, claim: Claim, request: GenerationRequest, stack: str) -> None:
        """Replace an unsettled request by what it became. Raises LeaseLost."""
        self._change(claim, request=to_json(request), stack=stack, **searched(request))

    def check(self, claim: Claim) -> None:
        """Raises LeaseLost when the job is no longer this worker's, JobCancelled when it is to stop."""
        query = sql.select(jobs.c.cancel_requested).where(*_owned(claim))
        with self._database.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LeaseLost(f"job {claim.job.id} was taken over")
        if row[0]:
            raise JobCancelled(f"job {claim.job.id} was cancelled")

    def succeed(self, claim: Claim, result: JobResult, seen: Seen = NOTHING_SEEN) -> None:
        """The commit of a job; may be repeated when its answer was lost. Raises LeaseLost."""
        # First, so that no image of a job that has ended lacks its owner; each run has names of its own.
        with self._database.connect() as connection:
            own_outputs(connection, (image.filename for image in result.images), claim.job.owner)
        total = claim.job.request.total_steps
        ended = {"state": JobState.SUCCEEDED, "finished_at": time.time(), "phase": "done", "step": total}
        try:
            counts = counting.of_success(claim.job, result, seen)
            self._leave(claim, counts, **ended, result=to_json(result), lease_until=None)
        except LeaseLost:
            if not self._has_committed(claim):
                raise

    def _has_committed(self, claim: Claim) -> bool:
        query = sql.select(jobs.c.id).where(
            jobs.c.id == claim.job.id,
            jobs.c.worker == claim.worker,
            jobs.c.attempts == claim.attempt,
            jobs.c.state == JobState.SUCCEEDED,
        )
        with self._database.connect() as connection:
            return connection.execute(query).first() is not None

    def fail(self, claim: Claim, failure: JobFailure, seen: Seen = NOTHING_SEEN) -> None:
        ended = {"state": JobState.FAILED, "finished_at": time.time(), "phase": "failed"}
        counts = counting.of_failure(claim.model, failure, seen)
        self._leave(claim, counts, **ended, failure=to_json(failure), lease_until=None)

    def end_cancelled(self, claim: Claim, seen: Seen = NOTHING_SEEN) -> None:
        ended = {"state": JobState.CANCELLED, "finished_at": time.time(), "phase": "cancelled"}
        self._leave(claim, counting.of_cancelling(claim.model, seen), **ended, lease_until=None)

    def give_back(self, claim: Claim, seen: Seen = NOTHING_SEEN) -> None:
        """Return a job to the queue at its old place; this run does not count as an attempt."""
        counts = counting.of_return(claim.model, "interrupted", seen)
        self._leave(claim, counts, **QUEUED_AGAIN, attempts=jobs.c.attempts - 1)

    def _leave(self, claim: Claim, counts: Counts, **values: Any) -> None:
        """The run's end and what is counted of it, both or neither."""
        with transaction(self._database) as connection:
            _change(connection, claim, values)
            count(connection, counts)
        # The job has left already. A preview that cannot be removed now is with the next sweep.
        with contextlib.suppress(OperationalError), self._database.connect() as connection:
            forget_preview(connection, claim.job.id)

    def try_again(
        self, claim: Claim, failure: JobFailure, max_attempts: int, seen: Seen = NOTHING_SEEN
    ) -> None:
        """Return a job to the queue after a fault of the machine, not its own; the last attempt fails.

        Raises LeaseLost.
        """
        if claim.attempt >= max_attempts:
            self.fail(claim, failure, seen)
        else:
            self._leave(claim, counting.of_return(claim.model, "storage", seen), **QUEUED_AGAIN)

    def _change(self, claim: Claim, **values: Any) -> None:
        with self._database.connect() as connection:
            _change(connection, claim, values)


def _change(connection: sql.Connection, claim: Claim, values: Mapping[str, Any]) -> None:
    """Raises LeaseLost."""
    if not connection.execute(sql.update(jobs).where(*_owned(claim)).values(**values)).rowcount:
        raise LeaseLost(f"job {claim.job.id} was taken over")


def _waiting(connection: sql.Connection, models: Collection[str] | None) -> list[Waiting]:
    """The first in turn of the highest priority that waits."""
    mine = [jobs.c.state == JobState.QUEUED]
    if models is not None:
        mine.append(jobs.c.model.in_(sorted(models)))
    highest = sql.select(jobs.c.priority).where(*mine).order_by(jobs.c.priority.desc()).limit(1)
    columns = (
        jobs.c.id,
        jobs.c.seq,
        jobs.c.priority,
        jobs.c.model,
        jobs.c.stack,
        jobs.c.overtaken_at,
        jobs.c.turn,
    )
    query = (
        sql.select(*columns)
        .where(*mine, jobs.c.priority == highest.scalar_subquery())
        .order_by(jobs.c.turn, jobs.c.seq)
        .limit(CLAIM_WINDOW)
    )
    return [Waiting(*row) for row in connection.execute(query)]


def _taken(chosen: Waiting, worker: str, now: float, lease_seconds: float) -> Any:
    return (
        sql.update(jobs)
        .where(jobs.c.id == chosen.id, jobs.c.state == JobState.QUEUED)
        .values(
            state=JobState.PREPARING,
            worker=worker,
            attempts=jobs.c.attempts + 1,
            started_at=now,
            lease_until=database_time() + lease_seconds,
            phase="preparing",
            step=0,
        )
        .returning(*jobs.c)
    )


def _mark_overtaken(
    connection: sql.Connection, waiting: Sequence[Waiting], chosen: Waiting, now: float
) -> None:
    """Note, once, when jobs were overtaken first."""
    overtaken = [job.seq for job in waiting if job.passed_by(chosen, now) is not job]
    if overtaken:
        query = sql.update(jobs).where(jobs.c.seq.in_(overtaken), jobs.c.state == JobState.QUEUED)
        # The job is taken already. A mark that is not written now is at the next claim.
        with contextlib.suppress(OperationalError):
            connection.execute(query.values(overtaken_at=now))


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
