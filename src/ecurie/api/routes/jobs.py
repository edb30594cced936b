"""Jobs: listed, followed, cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent

from ecurie.api import schemas
from ecurie.api.deps import CallerDep, FollowingDep, ForecastsDep, JobId, LinksDep, ServiceDep
from ecurie.api.events import JobEvents
from ecurie.api.replay_schemas import ManifestsOut
from ecurie.api.routes.generate import wanted_wait
from ecurie.api.waiting import until_end
from ecurie.domain import Job, JobState, Priority

router = APIRouter()


@router.get("/jobs")
def list_jobs(
    service: ServiceDep,
    caller: CallerDep,
    forecasts: ForecastsDep,
    links: LinksDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    state: JobState | None = None,
) -> schemas.JobsOut:
    """The newest jobs first."""
    found = service.jobs(limit, state, caller)
    return schemas.JobsOut(jobs=[schemas.job_out(job, links, forecasts.of(job)) for job in found])


@router.get("/jobs/{job_id}/manifests")
def get_manifests(job_id: JobId, service: ServiceDep, caller: CallerDep) -> ManifestsOut:
    """How each image of a job was made; empty while there are none."""
    return ManifestsOut(manifests=[asdict(manifest) for manifest in service.manifests(job_id, caller)])


@router.patch("/jobs/{job_id}")
def change_job(
    job_id: JobId, change: schemas.JobChange, service: ServiceDep, caller: CallerDep, links: LinksDep
) -> schemas.JobOut:
    """Move a queued job to another class; it comes after those of its owner that wait there."""
    return schemas.job_out(service.set_priority(job_id, Priority.named(change.priority), caller), links)


@router.delete("/jobs/{job_id}")
def cancel_job(job_id: JobId, service: ServiceDep, caller: CallerDep, links: LinksDep) -> schemas.JobOut:
    """Cancel: a queued job at once, a running one within a step."""
    return schemas.job_out(service.cancel(job_id, caller), links)


async def known_job(job_id: JobId, service: ServiceDep, caller: CallerDep) -> Job:
    return await run_in_threadpool(service.job, job_id, caller)


@router.get("/jobs/{job_id}")
async def get_job(
    job: Annotated[Job, Depends(known_job)],
    following: FollowingDep,
    forecasts: ForecastsDep,
    links: LinksDep,
    wait: Annotated[float, Depends(wanted_wait)],
    request: Request,
) -> schemas.JobOut:
    """As it is: at once, or when it ends within the wait."""
    if wait > 0:
        job = await until_end(job, following, wait, request)
    return schemas.job_out(job, links, await run_in_threadpool(forecasts.of, job))


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def job_events(
    job: Annotated[Job, Depends(known_job)],
    following: FollowingDep,
    forecasts: ForecastsDep,
    links: LinksDep,
    request: Request,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events as they change: `state` with the job, `queue` while it waits, `step`, and `preview`;
    the last `state` carries the ended job."""
    events = JobEvents(forecasts, links)
    while not request.app.state.stopping():
        for event in await events.news(job):
            yield event
        if job.state.ended:
            return
        job = await following.again(job)
