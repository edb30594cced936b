"""What the gallery asks of the job table: finished images, newest first, and to forget one.

A search reads an index that holds nothing else (SQLite) or rows without their long texts (PostgreSQL), and
parses only the jobs that it found.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sql

from ecurie.domain import GenerationRequest, ImageFile, Job
from ecurie.jobs.database import client_connection
from ecurie.jobs.owners import forget_outputs
from ecurie.jobs.rows import to_job
from ecurie.jobs.table import jobs


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which images: every one of `words` is in the prompt, whatever its case; None: any."""

    words: tuple[str, ...] = ()
    model: str | None = None
    adapter: str | None = None
    owner: str | None = None


@dataclass(frozen=True, order=True, slots=True)
class Place:
    """Of an image in the gallery: the number of its job, and its own within that. The larger, the newer."""

    job: int
    image: int


@dataclass(frozen=True, slots=True)
class MadeImage:
    """Image `index` of a job that has succeeded."""

    place: Place
    job: Job
    index: int
    deleted: bool

    @property
    def file(self) -> ImageFile:
        assert self.job.result is not None
        return self.job.result.images[self.index]


class Gallery:
    """In the database of a JobStore. Each method raises StoreUnavailable."""

    def __init__(self, database: sql.Engine):
        self._database = database

    def page(self, wanted: Wanted, before: Place | None, limit: int) -> list[MadeImage]:
        """The newest images whose place is before this one and whose files were not removed."""
        # The job of the place may have images before it.
        newest = sql.true() if before is None else jobs.c.seq <= before.job
        found = sql.select(jobs.c.seq).where(*_conditions(wanted), newest).order_by(jobs.c.seq.desc())
        # In two steps, since only the first can do with the index.
        rows = self._rows(jobs.c.seq.in_(found.limit(limit + 1)))
        images = [image for row in rows for image in reversed(_images(row)) if not image.deleted]
        return [image for image in images if before is None or image.place < before][:limit]

    def find(self, filename: str, sent_at: datetime) -> MadeImage | None:
        """The image with this file, which tells to the second when its job was sent."""
        began = sent_at.timestamp()
        ended = (sent_at + timedelta(seconds=1)).timestamp()
        rows = self._rows(SUCCEEDED, jobs.c.created_at >= began, jobs.c.created_at < ended)
        images = (image for row in rows for image in _images(row))
        return next((image for image in images if image.file.filename == filename), None)

    def forget(self, filename: str, made: MadeImage | None) -> None:
        """An image whose file is gone; `made` is which image of which job it was, if that is known. With the
        last one the job counts as one without images."""
        with client_connection(self._database) as connection:
            forget_outputs(connection, [filename])
            if made is not None:
                connection.execute(_deleted(made))

    def _rows(self, *conditions: sql.ColumnElement[bool]) -> list[Any]:
        query = sql.select(jobs).where(*conditions).order_by(jobs.c.seq.desc())
        with client_connection(self._database) as connection:
            return list(connection.execute(query).mappings())


def _deleted(made: MadeImage) -> sql.Update:
    assert made.job.result is not None
    deleted = jobs.c.deleted_images.bitwise_or(1 << made.index)
    all_of_them = (1 << len(made.job.result.images)) - 1
    removed = sql.case((deleted == all_of_them, sql.true()), else_=jobs.c.outputs_removed)
    changed = {"deleted_images": deleted, "outputs_removed": removed}
    return sql.update(jobs).where(jobs.c.id == made.job.id).values(**changed)


def searched(request: GenerationRequest) -> dict[str, str]:
    """The columns by which a job's images are found."""
    names = [use.name for use in request.adapters]
    return {"words": request.prompt.casefold(), "adapters": "\n".join(["", *names, ""])}


# Written out, not bound: SQLite uses a partial index only where it sees the condition.
SUCCEEDED = jobs.c.state == sql.literal_column("'succeeded'")


def _conditions(wanted: Wanted) -> list[sql.ColumnElement[bool]]:
    words = [jobs.c.words.contains(word.casefold(), autoescape=True) for word in wanted.words]
    conditions = [SUCCEEDED, ~jobs.c.outputs_removed, *words]
    if wanted.model is not None:
        conditions.append(jobs.c.model == wanted.model)
    if wanted.adapter is not None:
        conditions.append(jobs.c.adapters.contains(f"\n{wanted.adapter}\n", autoescape=True))
    if wanted.owner is not None:
        conditions.append(jobs.c.owner == wanted.owner)
    return conditions


def _images(row: Any) -> list[MadeImage]:
    job = to_job(row, None)
    assert job.result is not None
    return [
        MadeImage(Place(row["seq"], index), job, index, bool(row["deleted_images"] >> index & 1))
        for index in range(len(job.result.images))
    ]
