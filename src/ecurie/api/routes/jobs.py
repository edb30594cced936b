"""Jobs: listed, followed, cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from ecurie.api import schemas
from ecurie.api.deps import POLL_SECONDS, ForecastsDep, ServiceDep
from ecurie.api.replay_schemas import ManifestsOut
from ecurie.domain import Job, JobState
from ecurie.jobs.forecasts import Forecasts

router = APIRouter()


@router.get("/jobs")
def list_jobs(
    service: ServiceDep,
    forecasts: ForecastsDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    state: JobState | None = None,
) -> schemas.JobsOut:
    """The newest jobs first."""
    found = service.jobs(limit, state)
    return schemas.JobsOut(jobs=[schemas.job_out(job, forecasts.of(job)) for job in found])


@router.get("/jobs/{job_id}")
def get_job(job_id: str, service: ServiceDep, forecasts: ForecastsDep) -> schemas.JobOut:
    job = service.job(job_id)
    return schemas.job_out(job, forecasts.of(job))


@router.get("/jobs/{job_id}/manifests")
def get_manifests(job_id: str, service: ServiceDep) -> ManifestsOut:
    """How each image of a job was made; empty while there are none."""
    return ManifestsOut(manifests=[asdict(manifest) for manifest in service.manifests(job_id)])


@router.delete("/jobs/{job_id}")
def cancel_job(job_id: str, service: ServiceDep) -> schemas.JobOut:
    """Cancel: a queued job at once, a running one within a step."""
    return schemas.job_out(service.cancel(job_id))


async def known_job(job_id: str, service: ServiceDep) -> Job:
    return await run_in_threadpool(service.job, job_id)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def job_events(
    job: Annotated[Job, Depends(known_job)],
    service: ServiceDep,
    forecasts: ForecastsDep,
    request: Request,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events as they change: `state` with the job, `queue` while it waits, `step`, and `preview`;
    the last `state` carries the ended job."""
    state: JobState | None = None
    progress = preview = queue = None
    while not request.app.state.stopping():
        if job.state is not state:
            state = job.state
            yield ServerSentEvent(event="state", data=(await _whole(job, forecasts)).model_dump(mode="json"))
        if job.state.ended:
            return
        if job.state is JobState.QUEUED:
            now_at = schemas.queue_out(job, await run_in_threadpool(forecasts.of, job))
            if queue is None or _moved(queue, now_at):
                queue = now_at
                yield ServerSentEvent(event="queue", data=queue.model_dump(mode="json"))
        if job.progress != progress:
            progress = job.progress
            data = schemas.progress_out(progress).model_dump(exclude_none=True)
            yield ServerSentEvent(event="step", data=data)
        if job.progress.preview not in (None, preview):
            preview = job.progress.preview
            yield ServerSentEvent(event="preview", data=schemas.preview_out(preview).model_dump())
        await asyncio.sleep(POLL_SECONDS)
        job = await run_in_threadpool(service.job, job.id)


async def _whole(job: Job, forecasts: Forecasts) -> schemas.JobOut:
    return schemas.job_out(job, await run_in_threadpool(forecasts.of, job))


def _moved(before: schemas.QueueOut, now: schemas.QueueOut) -> bool:
    """Whether the place is another, or the start by more than a second and a tenth of the wait."""
    if before.position != now.position or before.estimated_start is None or now.estimated_start is None:
        return before != now
    wait = (now.estimated_start - datetime.now(UTC)).total_seconds()
    moved = abs((now.estimated_start - before.estimated_start).total_seconds())
    return moved > max(1.0, wait / 10)
