"""The job store: the only truth about jobs. Here are its clients' side, and the two others as parts of it.

Every change is one conditional statement, so any number of processes may share the table.

    queued ──take──▶ preparing ──▶ running ──▶ succeeded | failed
      ▲                  │            │
      └───── give back ──┴────────────┘      any of them ──cancel──▶ cancelled
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sql

from ecurie.domain import HELD_STATES, GenerationRequest, Job, JobState
from ecurie.errors import JobFinished, JobStarted, QueueFull, UnknownJob
from ecurie.jobs.claims import Claims
from ecurie.jobs.database import client_connection, open_database
from ecurie.jobs.gallery import Gallery, searched
from ecurie.jobs.leases import Leases
from ecurie.jobs.previews import with_previews
from ecurie.jobs.rows import REQUEST, to_job, to_json
from ecurie.jobs.table import jobs
from ecurie.jobs.turns import queue_for, turns_from
from ecurie.jobs.workers import Workers
from ecurie.jobs.writes import watch_writes


@dataclass(frozen=True, slots=True)
class New:
    """A request to queue, the stack that it needs, and the cell that it is of a sweep."""

    request: GenerationRequest
    stack: str
    cell: int | None = None


class JobStore:
    """What clients ask; `claims` is what workers do, `leases` what the sweeper does, `workers` who there is,
    `gallery` the finished images.

    `url` is a SQLAlchemy URL. Opening it brings the table up to date.
    """

    def __init__(self, url: str):
        self.database = open_database(url)
        self.claims, self.leases = Claims(self.database), Leases(self.database)
        self.workers, self.gallery = Workers(self.database), Gallery(self.database)
        self._writes = watch_writes(self.database)

    def close(self) -> None:
        self._writes.close()
        self.database.dispose()

    def changed(self) -> bool:
        """Whether anything was written since this was asked last; far less work than a claim."""
        return self._writes.seen()

    def add(
        self, request: GenerationRequest, *, priority: int, stack: str, max_queue: int, owner: str = ""
    ) -> Job:
        """Store a queued job; it survives a power cut once this returns.

        Raises QueueFull, StorageFull or StoreUnavailable.
        """
        (job_id,) = self.add_all([New(request, stack)], priority=priority, max_queue=max_queue, owner=owner)
        return self.get(job_id)

    def add_all(
        self,
        new: Sequence[New],
        *,
        priority: int,
        max_queue: int,
        owner: str = "",
        sweep: str | None = None,
    ) -> list[str]:
        """Store queued jobs, all or none; returns their ids. `owner` is whose they are, '' for nobody's in
        particular. Raises QueueFull, StorageFull or StoreUnavailable."""
        with client_connection(self.database) as connection:
            queued, turn = queue_for(connection, owner, priority)
            if queued + len(new) > max_queue:
                raise QueueFull(
                    f"{queued} jobs are waiting already", remedy="try again when some have finished"
                )
            shared = {"priority": priority, "owner": owner, "sweep": sweep}
            turns = turns_from(turn, (one.request.total_steps for one in new))
            rows = [{**_row(one), **shared, "turn": turn} for one, turn in zip(new, turns, strict=True)]
            if len(rows) == 1:
                connection.execute(jobs.insert(), rows)
            else:
                # One statement, so that all or none are there.
                connection.execute(jobs.insert().values(rows))
        return [row["id"] for row in rows]

    def get(self, job_id: str) -> Job:
        """Raises UnknownJob."""
        # PostgreSQL takes no NUL character, not even to look for it.
        found = [] if "\0" in job_id else self._read(ONE, {"id": job_id}, previews=True)
        if not found:
            raise UnknownJob(f"there is no job '{job_id[:100]}'")
        return found[0]

    def latest(self, limit: int, state: JobState | None, owner: str | None = None) -> list[Job]:
        """The newest jobs first; `owner`: only of this one."""
        query = WHOLE.order_by(jobs.c.seq.desc()).limit(limit)
        if owner is not None:
            query = query.where(jobs.c.owner == owner)
        return self._read(query if state is None else query.where(jobs.c.state == state))

    def changed_of(self, known: Sequence[Job]) -> list[Job]:
        """Those of these jobs that changed, as they are now. Far less work than to read them all."""
        before = {job.id: _followed(job) for job in known}
        query = sql.select(jobs.c.id, jobs.c.seq, *FOLLOWED).where(jobs.c.id.in_(before))
        with client_connection(self.database) as connection:
            rows = connection.execute(query).all()
            queued = [row.seq for row in rows if row.state == JobState.QUEUED]
            places = {row.seq: row.position for row in connection.execute(_positions(queued))}
        changed = [row.id for row in rows if before[row.id] != (*row[2:], places.get(row.seq))]
        return self._read(WHOLE.where(jobs.c.id.in_(changed)), previews=True) if changed else []

    def unfinished(self) -> Iterator[GenerationRequest]:
        """The requests of all jobs that wait or run."""
        query = sql.select(jobs.c.request).where(jobs.c.state.in_({JobState.QUEUED, *HELD_STATES}))
        with client_connection(self.database) as connection:
            for request in connection.execute(query).scalars():
                yield REQUEST.validate_json(request)

    def cells(self, sweep: str) -> list[Job]:
        """A sweep's jobs, in the order of its cells."""
        return self._read(WHOLE.where(jobs.c.sweep == sweep).order_by(jobs.c.cell))

    def _read(
        self, query: sql.Select[Any], values: dict[str, Any] | None = None, *, previews: bool = False
    ) -> list[Job]:
        with client_connection(self.database) as connection:
            rows = connection.execute(query, values).mappings()
            found = [to_job(row, row["position"]) for row in rows]
            return with_previews(connection, found) if previews else found

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
        with client_connection(self.database) as connection:
            changed = connection.execute(query).rowcount
        job = self.get(job_id)
        if not changed:
            raise JobFinished(f"job {job_id} has already ended as '{job.state}'")
        return job

    def set_priority(self, job_id: str, priority: int) -> Job:
        """Move a queued job to another class, as if it came now.

        Raises UnknownJob, JobStarted or JobFinished.
        """
        with client_connection(self.database) as connection:
            owner = connection.execute(sql.select(jobs.c.owner).where(jobs.c.id == job_id)).scalar()
            _, turn = queue_for(connection, owner or "", priority)
            query = (
                sql.update(jobs)
                .where(jobs.c.id == job_id, jobs.c.state == JobState.QUEUED, jobs.c.priority != priority)
                .values(priority=priority, turn=turn, overtaken_at=None)
            )
            connection.execute(query)
        job = self.get(job_id)
        if job.state.ended:
            raise JobFinished(f"job {job_id} has already ended as '{job.state}'")
        if job.state is not JobState.QUEUED:
            raise JobStarted(f"job {job_id} runs already")
        return job

    def counts(self) -> dict[str, int]:
        """Jobs by state."""
        query = sql.select(jobs.c.state, sql.func.count()).group_by(jobs.c.state)
        with client_connection(self.database) as connection:
            found = {str(state): int(count) for state, count in connection.execute(query)}
        return {state.value: found.get(state.value, 0) for state in JobState}


def _row(new: New) -> dict[str, Any]:
    return {
        "id": uuid.uuid4().hex,
        "state": JobState.QUEUED,
        "model": new.request.model,
        "stack": new.stack,
        "request": to_json(new.request),
        "created_at": time.time(),
        "attempts": 0,
        "cancel_requested": False,
        "phase": "queued",
        "step": 0,
        "total": new.request.total_steps,
        "pixels": new.request.finished_pixels,
        "cell": new.cell,
        **searched(new.request),
    }


def _position() -> sql.Label[int | None]:
    """Of the row: 1 is next, by priority and turn (affinity may change the order); NULL when not queued.

    Two counts, each of a stretch of an index, are much faster than one with an OR.
    """
    other = jobs.alias()
    queued = sql.select(sql.func.count()).where(other.c.state == sql.literal_column("'queued'"))
    more_urgent = queued.where(other.c.priority > jobs.c.priority)
    earlier = queued.where(
        other.c.priority == jobs.c.priority,
        sql.tuple_(other.c.turn, other.c.seq) < sql.tuple_(jobs.c.turn, jobs.c.seq),
    )
    before = [count.correlate(jobs).scalar_subquery() for count in (more_urgent, earlier)]
    return sql.case((jobs.c.state == JobState.QUEUED, before[0] + before[1] + 1)).label("position")


POSITION = _position()
FOLLOWED = (
    jobs.c.state, jobs.c.attempts, jobs.c.priority, jobs.c.phase,
    jobs.c.step, jobs.c.total, jobs.c.bytes_done, jobs.c.bytes_total,
)  # fmt: skip


def _followed(job: Job) -> tuple[Any, ...]:
    """What the columns FOLLOWED (but the id) and the position say of a job."""
    told = job.progress
    progress = (told.phase, told.step, told.total, told.bytes_done, told.bytes_total)
    return (job.state, job.attempts, job.priority, *progress, job.queue_position)


def _positions(seqs: Sequence[int]) -> sql.Select[tuple[int, int]]:
    """(seq, position) of queued jobs: one pass through the queue, for many of them."""
    place = sql.func.row_number().over(order_by=(jobs.c.priority.desc(), jobs.c.turn, jobs.c.seq))
    queue = sql.select(jobs.c.seq, place.label("position")).where(jobs.c.state == JobState.QUEUED).subquery()
    return sql.select(queue.c.seq, queue.c.position).where(queue.c.seq.in_(seqs))


WHOLE = sql.select(jobs, POSITION)
ONE = WHOLE.where(jobs.c.id == sql.bindparam("id"))
