"""What a listener is told of a job, as it changes."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from fastapi.concurrency import run_in_threadpool
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel

from ecurie.api import schemas
from ecurie.api.links import Links
from ecurie.domain import Job, JobState, Preview, Progress
from ecurie.jobs.forecasts import FRESH_SECONDS, Forecasts


class JobEvents:
    """For one listener: it remembers what was told."""

    def __init__(self, forecasts: Forecasts, links: Links):
        self._forecasts, self._links = forecasts, links
        self._state: JobState | None = None
        self._progress: Progress | None = None
        self._preview: Preview | None = None
        self._place = schemas.QueueOut(position=None, estimated_start=None)
        self._ask_again_at = 0.0

    async def news(self, job: Job) -> list[ServerSentEvent]:
        """`state` with the whole job, `queue` while it waits, `step` and `preview`, where they are new."""
        told: list[ServerSentEvent] = []
        if job.state is not self._state:
            self._state = job.state
            times = await run_in_threadpool(self._forecasts.of, job)
            told.append(_event("state", schemas.job_out(job, self._links, times)))
        if job.state.ended:
            return told
        if job.state is JobState.QUEUED:
            told += await self._queue_news(job)
        if job.progress != self._progress:
            self._progress = job.progress
            told.append(_event("step", schemas.progress_out(job.progress), exclude_none=True))
        if job.progress.preview not in (None, self._preview):
            self._preview = job.progress.preview
            told.append(_event("preview", schemas.preview_out(self._preview)))
        return told

    async def _queue_news(self, job: Job) -> list[ServerSentEvent]:
        """When it moved, or the estimate did; that is looked at once a second."""
        now = time.monotonic()
        if job.queue_position == self._place.position and now < self._ask_again_at:
            return []
        self._ask_again_at = now + FRESH_SECONDS
        place = schemas.queue_out(job, await run_in_threadpool(self._forecasts.of, job))
        if not _moved(self._place, place):
            return []
        self._place = place
        return [_event("queue", place)]


def _moved(before: schemas.QueueOut, now: schemas.QueueOut) -> bool:
    """Whether the place is another, or the start by more than a second and a tenth of the wait."""
    if before.position != now.position or before.estimated_start is None or now.estimated_start is None:
        return before != now
    wait = (now.estimated_start - datetime.now(UTC)).total_seconds()
    moved = abs((now.estimated_start - before.estimated_start).total_seconds())
    return moved > max(1.0, wait / 10)


def _event(name: str, data: BaseModel, *, exclude_none: bool = False) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=data.model_dump(mode="json", exclude_none=exclude_none))
