"""OpenAI's addresses."""

from __future__ import annotations

from typing import Any, NoReturn

from fastapi import APIRouter, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import ValidationError

from ecurie.api.deps import ServiceDep
from ecurie.api.openai.answers import ImagesOut, images_out
from ecurie.api.openai.bodies import ImagesBody
from ecurie.api.openai.errors import RESPONSES
from ecurie.api.openai.forms import read_form
from ecurie.api.openai.models import ModelOut, ModelsOut, model_out, models_out
from ecurie.api.openai.pictures import picture_fields
from ecurie.api.openai.running import Visit, VisitDep
from ecurie.api.openai.streaming import JobStream
from ecurie.api.openai.translate import clients_names, native_body, native_model
from ecurie.api.problems import from_validation
from ecurie.api.sent_files import FILE, FORM
from ecurie.errors import InvalidRequest
from ecurie.requests.body import GenerateBody

router = APIRouter(prefix="/v1", tags=["OpenAI Images"], responses=RESPONSES)

EVENTS = {"text/event-stream": {"schema": {"type": "string"}}}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The images; with `stream` server-sent events", "content": EVENTS}
}
PICTURES = {"image": {"type": "array", "items": FILE}, "mask": FILE}
EDIT_FORM = {
    "type": "object",
    "required": ["image", "prompt"],
    "properties": PICTURES | ImagesBody.model_json_schema()["properties"],
}


@router.post("/images/generations", response_model=ImagesOut, responses=STREAMED)
async def generate_images(body: ImagesBody, visit: VisitDep) -> Response:
    """Draw images. The connection stays open until they are there; a client that leaves cancels the job.

    Every field of `POST /generate` may be sent as well.
    """
    native = native_body(body, visit.service.catalog)
    return await _drawn(native, body, "image_generation", visit)


@router.post(
    "/images/edits",
    response_model=ImagesOut,
    responses=STREAMED,
    openapi_extra={"requestBody": {"required": True, "content": {FORM: {"schema": EDIT_FORM}}}},
)
async def edit_images(visit: VisitDep) -> Response:
    """Draw from a picture, or anew where a mask is transparent; further pictures are references."""
    form = await read_form(visit.request)
    try:
        body = ImagesBody.model_validate(form.fields, strict=False)
    except ValidationError as error:
        raise from_validation(error.errors()) from error
    pictures = await run_in_threadpool(picture_fields, form, visit.service.pictures(visit.caller))
    native = native_body(body, visit.service.catalog, pictures, lenient=True)
    return await _drawn(native, body, "image_edit", visit)


@router.post("/images/variations", response_model=ImagesOut)
async def vary_images() -> NoReturn:
    """Refused: these models draw what a prompt says, and a variation has none."""
    raise InvalidRequest(
        "variations have no prompt, and these models need one",
        remedy="send the picture to /v1/images/edits with a prompt, and strength for how far to leave it",
    )


@router.get("/models")
def list_models(service: ServiceDep) -> ModelsOut:
    """The models that a request may name."""
    return models_out(service.catalog)


@router.get("/models/{model_id}")
def get_model(model_id: str, service: ServiceDep) -> ModelOut:
    """One of them; an id of OpenAI's own is the default one."""
    catalog = service.catalog
    return model_out(native_model(model_id, catalog) or catalog.default_model, catalog)


async def _drawn(native: GenerateBody, body: ImagesBody, kind: str, visit: Visit) -> Response:
    with clients_names(body):
        job = await visit.submit(native)
    if body.stream:
        return JobStream(job, body, kind, visit)
    job = await visit.result_of(job)
    outputs, base_url = visit.service.outputs, str(visit.request.base_url).rstrip("/")

    def written() -> str:
        return images_out(job, visit.told(job), body, outputs, base_url).model_dump_json(exclude_none=True)

    # Base64 of many images is large: written off the event loop.
    content = await run_in_threadpool(written)
    return Response(content, media_type="application/json", headers={"x-request-id": job.id})
