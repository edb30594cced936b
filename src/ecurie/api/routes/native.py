"""Écurie's own routes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent

import ecurie
from ecurie.api import schemas
from ecurie.catalog.schedulers import SCHEDULERS
from ecurie.domain import Job, JobState
from ecurie.errors import NotReady
from ecurie.requests import GenerateBody
from ecurie.service import Service

POLL_SECONDS = 0.05
LONGEST_WAIT = 600.0

router = APIRouter()


def get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def get_workers(request: Request) -> list[dict[str, str]]:
    ready_workers: Callable[[], list[dict[str, str]]] = request.app.state.ready_workers
    return ready_workers()


ServiceDep = Annotated[Service, Depends(get_service)]
WorkersDep = Annotated[list[dict[str, str]], Depends(get_workers)]


def wanted_wait(
    wait: Annotated[
        float,
        Query(ge=0, le=LONGEST_WAIT, description="Answer with the result, after at most this many seconds."),
    ] = 0,
    prefer: Annotated[str, Header(description="`wait=N` does the same as the parameter.")] = "",
) -> float:
    for preference in prefer.split(","):
        name, _, seconds = preference.partition("=")
        if name.strip().casefold() == "wait" and seconds.strip().isdecimal():
            return min(float(seconds), LONGEST_WAIT)
    return wait


@router.post(
    "/generate",
    status_code=202,
    responses={200: {"model": schemas.JobOut, "description": "The job has ended within the wait"}},
)
async def generate(
    body: GenerateBody,
    service: ServiceDep,
    wait: Annotated[float, Depends(wanted_wait)],
    request: Request,
    response: Response,
) -> schemas.JobOut:
    """Queue a generation; 202 with its id, or 200 with the ended job when it ends within the wait."""
    job = await run_in_threadpool(service.submit, body)
    if wait > 0:
        job = await _wait_for_end(service, job, wait, request)
    response.headers["Location"] = f"/jobs/{job.id}"
    if job.state.ended:
        response.status_code = 200
    return schemas.job_out(job)


async def _wait_for_end(service: Service, job: Job, seconds: float, request: Request) -> Job:
    """The job as it is at its end, after `seconds`, or when the client leaves or the server stops."""
    deadline = time.monotonic() + seconds
    while not job.state.ended and time.monotonic() < deadline:
        if request.app.state.stopping() or await request.is_disconnected():
            break
        await asyncio.sleep(POLL_SECONDS)
        job = await run_in_threadpool(service.job, job.id)
    return job


@router.get("/jobs")
def list_jobs(
    service: ServiceDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    state: JobState | None = None,
) -> schemas.JobsOut:
    """The newest jobs first."""
    return schemas.JobsOut(jobs=[schemas.job_out(job) for job in service.jobs(limit, state)])


@router.get("/jobs/{job_id}")
def get_job(job_id: str, service: ServiceDep) -> schemas.JobOut:
    return schemas.job_out(service.job(job_id))


@router.delete("/jobs/{job_id}")
def cancel_job(job_id: str, service: ServiceDep) -> schemas.JobOut:
    """Cancel: a queued job at once, a running one within a step."""
    return schemas.job_out(service.cancel(job_id))


async def known_job(job_id: str, service: ServiceDep) -> Job:
    return await run_in_threadpool(service.job, job_id)


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def job_events(
    job: Annotated[Job, Depends(known_job)], service: ServiceDep, request: Request
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: `state` and `step` as they change; the last `state` carries the ended job."""
    state: JobState | None = None
    progress = None
    while not request.app.state.stopping():
        if job.state is not state:
            state = job.state
            yield ServerSentEvent(event="state", data=schemas.job_out(job).model_dump(mode="json"))
        if job.state.ended:
            return
        if job.progress != progress:
            progress = job.progress
            data: dict[str, Any] = {"phase": progress.phase, "step": progress.step, "total": progress.total}
            yield ServerSentEvent(event="step", data=data)
        await asyncio.sleep(POLL_SECONDS)
        job = await run_in_threadpool(service.job, job.id)


@router.get("/models")
def list_models(service: ServiceDep) -> schemas.ModelsOut:
    catalog = service.catalog
    default = catalog.default_model
    return schemas.ModelsOut(
        models=[
            schemas.ModelOut(
                id=model_id,
                name=entry.name,
                default=model_id == default,
                default_negative=entry.default_negative,
                prompt_prefix=entry.prompt_prefix,
                size=entry.size,
                clip_skip=entry.clip_skip,
                supported_loras=list(entry.supported_loras),
                license=entry.license,
                unavailable=catalog.availability(model_id),
            )
            for model_id, entry in catalog.models().items()
        ]
    )


@router.get("/loras")
def list_loras(service: ServiceDep) -> schemas.LorasOut:
    """The adapters that a request may name."""
    catalog = service.catalog
    return schemas.LorasOut(
        loras=[
            schemas.LoraOut(
                id=adapter_id,
                name=entry.name,
                kind=entry.kind,
                default_weight=entry.default_weight,
                trigger_words=list(entry.trigger_words),
                license=entry.license,
                unavailable=catalog.adapter_availability(adapter_id),
            )
            for adapter_id, entry in catalog.adapters().items()
        ]
    )


@router.get("/schedulers")
def list_schedulers() -> schemas.SchedulersOut:
    return schemas.SchedulersOut(
        schedulers=[
            schemas.SchedulerOut(id=entry.id, label=entry.label, max_steps=entry.max_steps)
            for entry in SCHEDULERS
        ]
    )


@router.get("/outputs/{filename}", response_class=FileResponse)
def get_output(filename: str, service: ServiceDep) -> FileResponse:
    """A finished image, with its parameters and manifest inside."""
    return FileResponse(service.output(filename), media_type="image/png")


@router.get("/system")
def system(service: ServiceDep, workers: WorkersDep) -> schemas.SystemOut:
    error = service.catalog.error
    return schemas.SystemOut(
        version=ecurie.__version__,
        workers=workers,
        jobs=service.store.counts(),
        catalogue_error=None if error is None else str(error),
    )


@router.get("/healthz")
def healthz() -> dict[str, str]:
    """The API process answers."""
    return {"status": "ok"}


@router.get("/readyz")
def readyz(workers: WorkersDep) -> dict[str, str]:
    """A worker is ready to run jobs; 503 until then."""
    if not workers:
        raise NotReady(
            "no worker is ready yet", remedy="wait a few seconds; the server's log says why if not"
        )
    return {"status": "ready"}


@router.get("/", include_in_schema=False)
def index() -> dict[str, str]:
    return {"name": "Écurie", "version": ecurie.__version__, "openapi": "/openapi.json"}
