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


def with_preview(connection: sql.Connection, job: Job) -> Job:
    """The job, its progress with the preview if there is one."""
    query = sql.select(previews.c.step, previews.c.image).where(previews.c.job_id == job.id)
    row = connection.execute(query).first()
    if row is None:
        return job
    return dataclasses.replace(job, progress=dataclasses.replace(job.progress, preview=Preview(*row)))


def forget_preview(connection: sql.Connection, job_id: str) -> None:
    connection.execute(previews.delete().where(previews.c.job_id == job_id))


def forget_all_but_running(connection: sql.Connection) -> None:
    """Those that a process left when it died between a job's end and the removal."""
    running = sql.select(jobs.c.id).where(jobs.c.state.in_(HELD_STATES))
    connection.execute(previews.delete().where(previews.c.job_id.not_in(running)))
