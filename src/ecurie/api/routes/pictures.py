"""Pictures that clients send, to start from or to be looked at."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from ecurie.api import schemas
from ecurie.api.deps import CallerDep, PictureId, ServiceDep
from ecurie.api.sent_files import PICTURE_CONTENT, sent_file
from ecurie.api.stored_files import FILE_RESPONSES, Served, file_answer

router = APIRouter()

BODY = {"requestBody": {"required": True, "content": PICTURE_CONTENT}}


@router.post("/images", status_code=201, openapi_extra=BODY)
async def add_picture(
    request: Request, response: Response, service: ServiceDep, caller: CallerDep
) -> schemas.PictureOut:
    """Keep a PNG, WebP or JPEG file, sent as the form field `file` or as the body itself.

    What it is, its content tells. The same file again has the same id.
    """
    content = await sent_file(request)
    upload = await run_in_threadpool(service.pictures(caller).add, content, "file")
    picture = schemas.picture_out(upload)
    response.headers["Location"] = picture.url
    return picture


@router.get("/images/{picture_id}", response_class=StreamingResponse, responses=FILE_RESPONSES)
def get_picture(picture_id: PictureId, service: ServiceDep, caller: CallerDep, request: Request) -> Response:
    """The file as it was sent."""
    pictures = service.pictures(caller)
    picture = pictures.find(picture_id)
    file = Served(picture.use.file, picture.bytes, picture.use.sha256, picture.media_type)
    return file_answer(pictures.uploads, file, request)


@router.delete("/images/{picture_id}", status_code=204)
def remove_picture(picture_id: PictureId, service: ServiceDep, caller: CallerDep) -> None:
    """Jobs that wait for it will fail."""
    service.pictures(caller).remove(picture_id)
