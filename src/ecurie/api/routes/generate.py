"""Asking for images, and getting them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi import Path as InPath
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from ecurie.api import schemas
from ecurie.api.deps import AdmittedDep, CallerDep, FollowingDep, LinksDep, ServiceDep
from ecurie.api.following import Following
from ecurie.api.links import Links
from ecurie.api.stored_files import FILE_RESPONSES, Served, file_answer
from ecurie.api.waiting import until_end
from ecurie.domain import Job
from ecurie.images.formats import format_of
from ecurie.requests.body import GenerateBody

router = APIRouter()


LONGEST_WAIT = 600.0


async def wanted_wait(
    wait: Annotated[
        float,
        Query(ge=0, le=LONGEST_WAIT, description="Answer with the result, after at most this many seconds."),
    ] = 0,
    prefer: Annotated[
        str, Header(description="`wait=N` does the same as the parameter.", examples=["wait=5"])
    ] = "",
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
    caller: CallerDep,
    following: FollowingDep,
    links: LinksDep,
    wait: Annotated[float, Depends(wanted_wait)],
    request: Request,
    response: Response,
) -> schemas.JobOut:
    """Queue a generation; 202 with its id, or 200 with the ended job when it ends within the wait."""
    job = await run_in_threadpool(service.submit, body, caller)
    return await answer(job, following, links, wait, request, response)


async def answer(
    job: Job, following: Following, links: Links, wait: float, request: Request, response: Response
) -> schemas.JobOut:
    """200 with the ended job if it ends within the wait, else as the route says."""
    if wait > 0:
        job = await until_end(job, following, wait, request)
    response.headers["Location"] = f"/jobs/{job.id}"
    if job.state.ended:
        response.status_code = 200
    return schemas.job_out(job, links)


@router.get("/outputs/{filename}", response_class=StreamingResponse, responses=FILE_RESPONSES)
def get_output(
    filename: Annotated[
        str, InPath(description="An image's `filename`.", examples=["sdxl-base_20261126_180000_0f8fad5b.png"])
    ],
    service: ServiceDep,
    admitted: AdmittedDep,
    request: Request,
) -> Response:
    """A finished image, with its parameters and manifest inside unless `metadata` was off. `expires` and
    `signature`, as answers say them in its `url` where keys are needed, stand instead of a key."""
    if admitted.by_link:
        stored = service.linked_output(filename)
    else:
        stored = service.output(filename, admitted.caller)
    media_type = f"image/{format_of(Path(filename))}"
    return file_answer(service.outputs, Served(filename, stored.bytes, stored.state, media_type), request)
