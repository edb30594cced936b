"""Making an image again from what it tells of itself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from ecurie.api import schemas
from ecurie.api.deps import CallerDep, FollowingDep, LinksDep, ServiceDep
from ecurie.api.routes.generate import answer, wanted_wait
from ecurie.api.sent_files import PICTURE_CONTENT, sent_file
from ecurie.images.manifest import MANIFEST_VERSION

router = APIRouter()
OBJECT = {"type": "object"}
MANIFEST = {
    "schema": {
        "type": "object",
        "required": ["manifest_version", "request", "setup"],
        "properties": {
            "manifest_version": {"const": MANIFEST_VERSION},
            "request": OBJECT,
            "setup": OBJECT,
        },
        "description": "docs/replay.md describes it.",
    }
}
BODY = {
    "required": True,
    "description": "An image, as it is or as the only file of a form; or a manifest.",
    "content": {**PICTURE_CONTENT, "application/json": MANIFEST},
}


@router.post(
    "/replay",
    status_code=202,
    responses={200: {"model": schemas.JobOut, "description": "The job has ended within the wait"}},
    openapi_extra={"requestBody": BODY},
)
async def replay(
    service: ServiceDep,
    caller: CallerDep,
    following: FollowingDep,
    links: LinksDep,
    wait: Annotated[float, Depends(wanted_wait)],
    request: Request,
    response: Response,
) -> schemas.JobOut:
    """Queue an image's generation once more; the ended job tells how the new one compares with it."""
    content = await sent_file(request)
    job = await run_in_threadpool(service.replay, content, caller)
    return await answer(job, following, links, wait, request, response)
