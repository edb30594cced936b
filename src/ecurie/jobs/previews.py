"""The newest preview of each running job, in a table of its own; with the job's end it is gone."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import sqlalchemy as sql

from ecurie.domain import HELD_STATES, Job, Preview
from ecurie.jobs.table import jobs, previews


def keep_preview(
    connection: sql.Connection, job_id: str, preview: Preview, owned: Sequence[sql.ColumnElement[bool]]
) -> None:
    """Stored instead of the one before, if the job is still `owned`."""
    now = time.time()
    changed = (
        sql.update(previews)
        .where(previews.c.job_id == job_id, sql.exists().where(*owned))
        .values(step=preview.step, image=preview.image, written_at=now)
    )
    if connection.execute(changed).rowcount:
        return
    columns = (jobs.c.id, sql.literal(preview.step), sql.literal(preview.image), sql.literal(now))
    first = sql.insert(previews).from_select(list(previews.c.keys()), sql.select(*columns).where(*owned))
    connection.execute(first)


def with_previews(connection: sql.Connection, found: Sequence[Job]) -> list[Job]:
    """The jobs, the progress of those that run with its preview if there is one."""
    running = [job.id for job in found if job.state in HELD_STATES]
    if not running:
        return list(found)
    query = sql.select(previews.c.job_id, previews.c.step, previews.c.image)
    rows = connection.execute(query.where(previews.c.job_id.in_(running)))
    shown = {job_id: Preview(*rest) for job_id, *rest in rows}
    return [_with(job, shown[job.id]) if job.id in shown else job for job in found]


def _with(job: Job, preview: Preview) -> Job:
    return dataclasses.replace(job, progress=dataclasses.replace(job.progress, preview=preview))


def forget_preview(connection: sql.Connection, job_id: str) -> None:
    connection.execute(previews.delete().where(previews.c.job_id == job_id))


def forget_all_but_running(connection: sql.Connection) -> None:
    """Those that a process left when it died between a job's end and the removal."""
    running = sql.select(jobs.c.id).where(jobs.c.state.in_(HELD_STATES))
    connection.execute(previews.delete().where(previews.c.job_id.not_in(running)))
