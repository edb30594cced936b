"""The job store: the only truth about jobs.

Every change is one conditional statement, so any number of processes may share the table. Changes by a
worker name the worker and the attempt: one that lost its lease changes nothing (LeaseLost).

    queued ──claim──▶ preparing ──▶ running ──▶ succeeded | failed
      ▲                   │            │
      └──── give back ────┴────────────┘      any of them ──cancel──▶ cancelled
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from ecurie.domain import (
    HELD_STATES,
    GenerationRequest,
    Job,
    JobFailure,
    JobResult,
    JobState,
    Progress,
)
from ecurie.errors import JobCancelled, JobFinished, LeaseLost, QueueFull, StorageFull, UnknownJob, WorkerDied
from ecurie.jobs.database import Writes, open_database
from ecurie.jobs.previews import forget_all_but_running, forget_preview, keep_preview, with_preview
from ecurie.jobs.rows import to_job, to_json
from ecurie.jobs.schedule import Held, Waiting, choose
from ecurie.jobs.table import jobs

CLAIM_WINDOW = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker holds: proof of ownership for every later change."""

    job: Job
    worker: str
    attempt: int


@dataclass(frozen=True, slots=True)
class New:
    """A request to queue, the stack that it needs, and the cell that it is of a sweep."""

    request: GenerationRequest
    stack: str
    cell: int | None = None


@dataclass(frozen=True, slots=True)
class HeldJob:
    """A job in a worker's hands, as the sweeper sees it."""

    id: str
    worker: str
    attempt: int
    lease_until: float


class JobStore:
    """`url` is a SQLAlchemy URL. Opening it brings the table up to date."""

    def __init__(self, url: str):
        self.database = open_database(url)
        self._writes = Writes(self.database)

    def close(self) -> None:
        self._writes.close()
        self.database.dispose()

    def changed(self) -> bool:
        """Whether anything was written since this was asked last; an eighth of the work of `claim`."""
        return self._writes.seen()

    def add(self, request: GenerationRequest, *, priority: int, stack: str, max_queue: int) -> Job:
        """Store a queued job; it survives a power cut once this returns. Raises QueueFull or StorageFull."""
        (job_id,) = self.add_all([New(request, stack)], priority=priority, max_queue=max_queue)
        return self.get(job_id)

    def add_all(
        self, new: Sequence[New], *, priority: int, max_queue: int, sweep: str | None = None
    ) -> list[str]:
        """Store queued jobs, all or none; returns their ids. Raises QueueFull or StorageFull."""
        rows = [_row(one, priority, sweep) for one in new]
        try:
            with self.database.connect() as connection:
                queued = connection.execute(_count(JobState.QUEUED)).scalar_one()
                if queued + len(rows) > max_queue:
                    raise QueueFull(
                        f"{queued} jobs are waiting already", remedy="try again when some have finished"
                    )
                connection.execute(jobs.insert().values(rows))
        except sql.exc.OperationalError as error:
            if "full" in str(error.orig):
                raise StorageFull("no room to store the job", remedy="free some disk space") from error
            raise
        return [row["id"] for row in rows]

    def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        with self.database.connect() as connection:
            row = connection.execute(sql.select(jobs).where(jobs.c.id == job_id)).mappings().first()
            if row is None:
                raise UnknownJob(f"there is no job '{job_id}'")
            job = to_job(row, self._position(connection, row))
            return with_preview(connection, job) if job.state in HELD_STATES else job

    def latest(self, limit: int, state: JobState | None) -> list[Job]:
        """The newest jobs first."""
        query = sql.select(jobs).order_by(jobs.c.seq.desc()).limit(limit)
        if state is not None:
            query = query.where(jobs.c.state == state)
        with self.database.connect() as connection:
            rows = connection.execute(query).mappings().all()
            return [to_job(row, self._position(connection, row)) for row in rows]

    def cells(self, sweep: str) -> list[Job]:
        """A sweep's jobs, in the order of its cells."""
        query = sql.select(jobs).where(jobs.c.sweep == sweep).order_by(jobs.c.cell)
        with self.database.connect() as connection:
            rows = connection.execute(query).mappings().all()
            return [to_job(row, self._position(connection, row)) for row in rows]

    def _position(self, connection: sql.Connection, row: Any) -> int | None:
        """1 is next, by priority and arrival (affinity may change the order)."""
        if row["state"] != JobState.QUEUED:
            return None
        before = sql.or_(
            jobs.c.priority > row["priority"],
            sql.and_(jobs.c.priority == row["priority"], jobs.c.seq < row["seq"]),
        )
        return connection.execute(_count(JobState.QUEUED).where(before)).scalar_one() + 1

    def cancel(self, job_id: str) -> Job:
        """A queued job is cancelled now, a held one when its worker reads the flag.

        Raises UnknownJob or JobFinished.
        """
        queued = jobs.c.state == JobState.QUEUED
        query = (
            sql.update(jobs)
            .where(jobs.c.id == job_id, jobs.c.state.in_({JobState.QUEUED, *HELD_STATES}))
            .values(
                cancel_requested=True,
                state=sql.case((queued, JobState.CANCELLED.value), else_=jobs.c.state),
                finished_at=sql.case((queued, time.time()), else_=jobs.c.finished_at),
                phase=sql.case((queued, "cancelled"), else_=jobs.c.phase),
            )
        )
        with self.database.connect() as connection:
            changed = connection.execute(query).rowcount
        job = self.get(job_id)
        if not changed:
            raise JobFinished(f"job {job_id} has already ended as '{job.state}'")
        return job

    def claim(self, worker: str, held: Held, *, lease_seconds: float, max_overtake: float) -> Claim | None:
        """Take the next job, or None when nothing waits (or another worker was faster)."""
        columns = (jobs.c.id, jobs.c.seq, jobs.c.priority, jobs.c.model, jobs.c.stack, jobs.c.overtaken_at)
        query = (
            sql.select(*columns)
            .where(jobs.c.state == JobState.QUEUED)
            .order_by(jobs.c.priority.desc(), jobs.c.seq)
            .limit(CLAIM_WINDOW)
        )
        with self.database.connect() as connection:
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
                connection.execute(_overtaken_by(chosen, now))
        return None if row is None else Claim(to_job(row, None), worker, int(row["attempts"]))

    def renew(self, claim: Claim, lease_seconds: float) -> None:
        """Raises LeaseLost."""
        self._change(claim, lease_until=time.time() + lease_seconds)

    def report(self, claim: Claim, progress: Progress) -> None:
        """Write the progress, and its preview if there is a new one.

        Raises LeaseLost, or JobCancelled when the client asked for it.
        """
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
        if progress.preview is not None:
            with self.database.connect() as connection:
                keep_preview(connection, claim.job.id, progress.preview, _owned(claim))
        self.check(claim)

    def settle(self, claim: Claim, request: GenerationRequest, stack: str) -> None:
        """Replace an unsettled request by what it became. Raises LeaseLost."""
        self._change(claim, request=to_json(request), stack=stack)

    def check(self, claim: Claim) -> None:
        """Raises LeaseLost when the job is no longer this worker's, JobCancelled when it is to stop."""
        query = sql.select(jobs.c.cancel_requested).where(*_owned(claim))
        with self.database.connect() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise LeaseLost(f"job {claim.job.id} was taken over")
        if row[0]:
            raise JobCancelled(f"job {claim.job.id} was cancelled")

    def succeed(self, claim: Claim, result: JobResult) -> None:
        """The commit of a job. Raises LeaseLost."""
        total = claim.job.request.total_steps
        ended = {"state": JobState.SUCCEEDED, "finished_at": time.time(), "phase": "done", "step": total}
        self._leave(claim, **ended, result=to_json(result), lease_until=None)

    def fail(self, claim: Claim, failure: JobFailure) -> None:
        ended = {"state": JobState.FAILED, "finished_at": time.time(), "phase": "failed"}
        self._leave(claim, **ended, failure=to_json(failure), lease_until=None)

    def end_cancelled(self, claim: Claim) -> None:
        ended = {"state": JobState.CANCELLED, "finished_at": time.time(), "phase": "cancelled"}
        self._leave(claim, **ended, lease_until=None)

    def give_back(self, claim: Claim) -> None:
        """Return a job to the queue at its old place; this run does not count as an attempt."""
        self._leave(claim, **_QUEUED_AGAIN, attempts=jobs.c.attempts - 1)

    def held(self) -> list[HeldJob]:
        columns = (jobs.c.id, jobs.c.worker, jobs.c.attempts, jobs.c.lease_until)
        query = sql.select(*columns).where(jobs.c.state.in_(HELD_STATES))
        with self.database.connect() as connection:
            return [HeldJob(*row) for row in connection.execute(query)]

    def reap(self, held: HeldJob, max_attempts: int) -> None:
        """Take a job from a dead worker: queue it again, or end it if asked for or tried enough."""
        mine = (
            jobs.c.id == held.id,
            jobs.c.worker == held.worker,
            jobs.c.attempts == held.attempt,
            jobs.c.state.in_(HELD_STATES),
        )
        died = WorkerDied(
            f"the worker died {held.attempt} times while running this job",
            remedy="see the server's log; the job may need more memory than there is",
        )
        now = {"finished_at": time.time(), "lease_until": None}
        with self.database.connect() as connection:
            cancelled = sql.update(jobs).where(*mine, jobs.c.cancel_requested)
            if connection.execute(
                cancelled.values(state=JobState.CANCELLED, phase="cancelled", **now)
            ).rowcount:
                return
            if held.attempt >= max_attempts:
                ended = {
                    "state": JobState.FAILED,
                    "phase": "failed",
                    "failure": to_json(JobFailure.of(died)),
                }
                connection.execute(sql.update(jobs).where(*mine).values(**ended, **now))
            else:
                connection.execute(sql.update(jobs).where(*mine).values(**_QUEUED_AGAIN))

    def return_to_queue(self, held: HeldJob) -> None:
        """Queue a job again whose worker was stopped in the middle of it; the run costs no attempt."""
        stopped = Claim(self.get(held.id), held.worker, held.attempt)
        with contextlib.suppress(LeaseLost):
            self.give_back(stopped)

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        query = sql.select(jobs.c.state, sql.func.count()).group_by(jobs.c.state)
        with self.database.connect() as connection:
            found = {str(state): int(count) for state, count in connection.execute(query)}
        return {state.value: found.get(state.value, 0) for state in JobState}

    def forget_old_previews(self) -> None:
        """Those of jobs that do not run; a worker that ends a job takes its own away."""
        with self.database.connect() as connection:
            forget_all_but_running(connection)

    def _leave(self, claim: Claim, **values: Any) -> None:
        self._change(claim, **values)
        with self.database.connect() as connection:
            forget_preview(connection, claim.job.id)

    def _change(self, claim: Claim, **values: Any) -> None:
        query = sql.update(jobs).where(*_owned(claim)).values(**values)
        with self.database.connect() as connection:
            if not connection.execute(query).rowcount:
                raise LeaseLost(f"job {claim.job.id} was taken over")


_QUEUED_AGAIN = {"state": JobState.QUEUED, "worker": None, "lease_until": None, "phase": "queued", "step": 0}


def _row(new: New, priority: int, sweep: str | None) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "state": JobState.QUEUED,
        "priority": priority,
        "model": new.request.model,
        "stack": new.stack,
        "request": to_json(new.request),
        "created_at": time.time(),
        "attempts": 0,
        "cancel_requested": False,
        "phase": "queued",
        "step": 0,
        "total": new.request.total_steps,
        "sweep": sweep,
        "cell": new.cell,
    }


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
    return (
        jobs.c.id == claim.job.id,
        jobs.c.worker == claim.worker,
        jobs.c.attempts == claim.attempt,
        jobs.c.state.in_(HELD_STATES),
    )


def _count(state: JobState) -> sql.Select[int]:
    return sql.select(sql.func.count()).select_from(jobs).where(jobs.c.state == state)
