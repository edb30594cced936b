"""What the tools take and tell, as the assistant's client gets their schemas."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from ecurie.client.handles import ImageCalls, Result


class Adapter(BaseModel):
    """One adapter of a stack."""

    name: str = Field(description="An id of list_adapters.")
    weight: float | None = Field(None, ge=-4, le=4, description="Default: the adapter's own.")


class ImageOut(BaseModel):
    """`file` names the image for get_image and as a picture to start from; `url` is the whole file at the
    server, `resource` the same through this connection."""

    file: str
    url: str
    resource: str
    seed: int
    width: int
    height: int


class MadeOut(BaseModel):
    """`prompt` is what was drawn in the end, with trigger words; the adapters are those that were applied."""

    job_id: str
    model: str
    prompt: str
    negative_prompt: str
    adapters: list[str]
    images: list[ImageOut]
    warnings: list[str]
    seconds: float


class ModelOut(BaseModel):
    """`unavailable`: why it cannot be used now."""

    id: str
    name: str
    default: bool
    size: tuple[int, int] | None
    recommended_adapters: list[str]
    unavailable: str | None


class ModelsOut(BaseModel):
    models: list[ModelOut]


class AdapterOut(BaseModel):
    """`trigger_words` are added to the prompt by themselves."""

    id: str
    name: str
    kind: str
    default_weight: float
    trigger_words: list[str]
    unavailable: str | None


class AdaptersOut(BaseModel):
    adapters: list[AdapterOut]


def image_out(image: ImageCalls, server_url: str) -> ImageOut:
    return ImageOut(
        file=image.filename,
        url=f"{server_url}{image.url}",
        resource=f"ecurie://outputs/{image.filename}",
        seed=image.seed,
        width=image.width,
        height=image.height,
    )


def made_out(result: Result[Any], server_url: str) -> MadeOut:
    request = result.job["request"]
    return MadeOut(
        job_id=result.job["id"],
        model=request["model"],
        prompt=result.prompt,
        negative_prompt=request["negative_prompt"],
        adapters=[used["name"] for used in result.report["adapters"]],
        images=[image_out(image, server_url) for image in result.images],
        warnings=list(result.warnings),
        seconds=round(sum(result.timings.values()), 2),
    )
