"""What OpenAI's clients get for a job that has succeeded."""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Literal

from pydantic import BaseModel, Field

from ecurie.api import schemas
from ecurie.api.openai.bodies import Format, ImagesBody
from ecurie.domain import Job
from ecurie.errors import EcurieError, UnknownOutput
from ecurie.images.storage import Storage
from ecurie.requests.preview import PARTS, preview_of


class InputTokens(BaseModel):
    image_tokens: int
    text_tokens: int


class UsageOut(BaseModel):
    """Tokens that the text encoders and the IP-Adapter read; a diffusion model writes none."""

    input_tokens: int
    input_tokens_details: InputTokens
    output_tokens: int = 0
    total_tokens: int


class EcurieOut(BaseModel):
    """What OpenAI's API has no place for; as in the job of `GET /jobs/{id}`."""

    job_id: str
    model: str
    seed: int
    report: dict[str, Any]
    timings: dict[str, float]


class ImageOut(BaseModel):
    """`b64_json` or `url`; `revised_prompt` is what the text encoders got."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str
    seed: int


class ImagesOut(BaseModel):
    created: int
    data: list[ImageOut]
    background: Literal["opaque"] = "opaque"
    output_format: Format
    quality: str
    size: str
    usage: UsageOut | None = Field(description="null where the prompt's tokens cannot be counted here")
    ecurie: EcurieOut


def images_out(
    job: Job, result: schemas.ResultOut, body: ImagesBody, outputs: Storage, base_url: str
) -> ImagesOut:
    """`result` is the job's as we tell it; `base_url` the server's as the client knows it, without a slash
    at the end.

    Raises UnknownOutput or StorageUnavailable.
    """
    images = []
    for image in result.images:
        if body.as_url:
            place = {"url": f"{base_url}{image.url}"}
        else:
            place = {"b64_json": coded_image(outputs, image.filename)}
        images.append(ImageOut(**place, revised_prompt=result.prompt, seed=image.seed))
    return ImagesOut(
        created=created(job),
        data=images,
        output_format=body.output_format,
        quality=body.quality_told,
        size=size_of(job),
        usage=usage_of(job),
        ecurie=ecurie_out(job, result),
    )


def ecurie_out(job: Job, result: schemas.ResultOut) -> EcurieOut:
    return EcurieOut(
        job_id=job.id,
        model=job.request.model,
        seed=job.request.seed,
        report=result.report,
        timings=result.timings,
    )


def created(job: Job) -> int:
    """Seconds since the epoch, of its end."""
    return int((job.finished_at or job.created_at).timestamp())


def size_of(job: Job) -> str:
    width, height = job.request.final_size
    return f"{width}x{height}"


def usage_of(job: Job) -> UsageOut | None:
    """Both prompts', as `POST /prompt/preview` counts them, and what the IP-Adapter made of the references.

    None where the model's tokenizer is not on this machine.
    """
    try:
        preview = preview_of(job.request)
    except EcurieError:
        return None
    text = sum(prompt.text_encoders[PARTS[0]].tokens for prompt in (preview.prompt, preview.negative_prompt))
    looked = job.result and job.result.ip_adapter
    image = looked.references * looked.tokens if looked else 0
    details = InputTokens(image_tokens=image, text_tokens=text)
    return UsageOut(input_tokens=text + image, input_tokens_details=details, total_tokens=text + image)


def coded_image(outputs: Storage, filename: str) -> str:
    """Raises UnknownOutput or StorageUnavailable."""
    try:
        return b64encode(outputs.read(filename)).decode()
    except FileNotFoundError:
        raise UnknownOutput(f"the image {filename} was removed before it could be sent") from None
