"""Finished images: found again, seen small, deleted; and what any image tells of how it was made."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AfterValidator, BaseModel

from ecurie.adapter_stack import Name, plain_text
from ecurie.api.deps import AdmittedDep, CallerDep, LinksDep, ServiceDep
from ecurie.api.links import Links
from ecurie.api.sent_files import PICTURE_CONTENT, sent_file
from ecurie.api.stored_files import etag_of, is_known
from ecurie.finished import FinishedImages
from ecurie.images.small import Side
from ecurie.jobs.gallery import MadeImage, Place, Wanted
from ecurie.requests.from_image import Recalled

router = APIRouter()

BODY = {"requestBody": {"required": True, "content": PICTURE_CONTENT}}
SHOWN_PROMPT = 300
LARGEST_JOB = 2**31 - 1
"""Of the number that a database gives to jobs."""
AT_ONCE = 2
"""Thumbnails that are made at the same time: each takes a core, and the memory of a whole image."""
WEBP: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/webp": {}}, "description": "The small picture"}
}


class GalleryImage(BaseModel):
    """`prompt` is cut after 300 characters; `index` is the image's number in its job, from 0."""

    filename: str
    url: str
    thumbnail_url: str
    width: int
    height: int
    prompt: str
    model: str
    adapters: list[str]
    seed: int
    job_id: str
    index: int
    created_at: datetime


class GalleryPage(BaseModel):
    """`next` is the `before` of the page that follows; null: this is the last."""

    images: list[GalleryImage]
    next: str | None


async def get_finished(request: Request) -> FinishedImages:
    finished: FinishedImages = request.app.state.finished
    return finished


FinishedDep = Annotated[FinishedImages, Depends(get_finished)]


@router.get("/gallery")
def gallery(
    finished: FinishedDep,
    caller: CallerDep,
    links: LinksDep,
    search: Annotated[
        str,
        Query(max_length=300, description="Words that are all in the prompt."),
        AfterValidator(plain_text),
    ] = "",
    model: Name | None = None,
    adapter: Name | None = None,
    before: Annotated[
        str | None, Query(pattern=r"^\d{1,10}-\d{1,2}$", description="`next` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 60,
) -> GalleryPage:
    """Finished images whose files are there, the newest first."""
    wanted = Wanted(tuple(search.split()), model, adapter)
    # One more, to see whether there are any.
    found = finished.page(wanted, None if before is None else _place(before), limit + 1, caller)
    page = found[:limit]
    more = len(found) > limit
    return GalleryPage(
        images=[_image(made, links) for made in page], next=_cursor(page[-1].place) if more else None
    )


def _place(cursor: str) -> Place:
    job, image = cursor.split("-")
    return Place(min(int(job), LARGEST_JOB), int(image))


def _cursor(place: Place) -> str:
    return f"{place.job}-{place.image}"


def _image(made: MadeImage, links: Links) -> GalleryImage:
    request, file = made.job.request, made.file
    return GalleryImage(
        **asdict(file),
        url=links.image(file.filename),
        thumbnail_url=links.thumbnail(file.filename),
        prompt=request.prompt[:SHOWN_PROMPT],
        model=request.model,
        adapters=[use.name for use in request.adapters],
        job_id=made.job.id,
        index=made.index,
        created_at=made.job.created_at,
    )


@router.get("/outputs/{filename}/thumbnail", response_class=Response, responses=WEBP)
async def get_thumbnail(
    filename: str,
    service: ServiceDep,
    finished: FinishedDep,
    admitted: AdmittedDep,
    request: Request,
    size: Side = Side.MEDIUM,
) -> Response:
    """A finished image as a small WebP, its longer side of so many pixels; let in like the image."""
    if admitted.by_link:
        stored = await run_in_threadpool(service.linked_output, filename)
    else:
        stored = await run_in_threadpool(service.output, filename, admitted.caller)
    etag = etag_of(f"{stored.state}-{size}")
    headers = {"etag": etag, "cache-control": "private, max-age=3600"}
    if is_known(etag, request):
        return Response(status_code=304, headers=headers)
    content = await to_thread.run_sync(finished.thumbnail, stored, size, limiter=_limiter(request))
    return Response(content, media_type="image/webp", headers=headers)


def _limiter(request: Request) -> anyio.CapacityLimiter:
    """Made here, since it belongs to the running event loop."""
    state = request.app.state
    if not hasattr(state, "thumbnail_limiter"):
        state.thumbnail_limiter = anyio.CapacityLimiter(AT_ONCE)
    limiter: anyio.CapacityLimiter = state.thumbnail_limiter
    return limiter


@router.delete("/outputs/{filename}", status_code=204)
def delete_output(filename: str, finished: FinishedDep, caller: CallerDep) -> None:
    """Remove an image for good. Its job stays, and tells how it was made."""
    finished.delete(filename, caller)


@router.post("/read-image", openapi_extra=BODY)
async def read_image(request: Request, service: ServiceDep, caller: CallerDep) -> Recalled:
    """How an image was made, as the body of `POST /generate`; nothing is kept or queued."""
    content = await sent_file(request)
    return await run_in_threadpool(service.recall, content, caller)
