"""What retention asks of the job table: jobs that ended before a moment, in small batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import sqlalchemy as sql

from ecurie.jobs.owners import forget_outputs
from ecurie.jobs.rows import RESULT
from ecurie.jobs.table import jobs, sweeps

BATCH = 200


class EndedJobs:
    """In the database of a JobStore. Moments are in seconds since 1970."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def images_before(self, moment: float) -> dict[str, list[str]]:
        """The next jobs' image files by the id of their job; empty when none is left."""
        query = (
            sql.select(jobs.c.id, jobs.c.result)
            .where(jobs.c.outputs_removed.is_(False), jobs.c.finished_at < moment)
            .order_by(jobs.c.finished_at)
            .limit(BATCH)
        )
        with self._database.connect() as connection:
            rows = connection.execute(query).all()
        return {row.id: _files(row.result) for row in rows}

    def images_removed(self, removed: Mapping[str, Sequence[str]]) -> None:
        """As `images_before` told them."""
        query = sql.update(jobs).where(jobs.c.id.in_(removed)).values(outputs_removed=True)
        with self._database.connect() as connection:
            forget_outputs(connection, list(chain.from_iterable(removed.values())))
            connection.execute(query)

    def remove_sweeps_before(self, moment: float) -> None:
        """The definitions of sweeps whose every cell ended before. First they go, then their jobs, so that a
        sweep is whole or not there."""
        young = sql.exists().where(
            jobs.c.sweep == sweeps.c.id,
            sql.or_(jobs.c.finished_at.is_(None), jobs.c.finished_at >= moment),
        )
        with self._database.connect() as connection:
            connection.execute(sql.delete(sweeps).where(sweeps.c.created_at < moment, ~young))

    def remove_jobs_before(self, moment: float, images_must_be_gone: bool) -> int:
        """Forget the next jobs that belong to no sweep that is still there; returns how many."""
        kept_sweep = sql.exists().where(sweeps.c.id == jobs.c.sweep)
        gone = [True] if images_must_be_gone else [True, False]
        old = (
            sql.select(jobs.c.seq)
            .where(jobs.c.outputs_removed.in_(gone), jobs.c.finished_at < moment, ~kept_sweep)
            .limit(BATCH)
        )
        with self._database.connect() as connection:
            removed = connection.execute(sql.delete(jobs).where(jobs.c.seq.in_(old)))
            return removed.rowcount


def _files(result: str | None) -> list[str]:
    return [] if result is None else [image.filename for image in RESULT.validate_json(result).images]
