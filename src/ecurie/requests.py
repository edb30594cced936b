"""What a client may ask for, and how it becomes a GenerationRequest with nothing left open."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ecurie.catalog.catalog import Catalog, FoundModel
from ecurie.catalog.schedulers import MODEL_DEFAULT, find_scheduler
from ecurie.domain import SEED_LIMIT, GenerationRequest
from ecurie.errors import InvalidRequest, NotBuiltYet, UnknownModel

MAX_PROMPT = 10_000


def _plain_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a UTF-16 surrogate pair") from None
    return text


def _something(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


Text = Annotated[str, Field(max_length=MAX_PROMPT), AfterValidator(_plain_text)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_text)]
Side = Annotated[int, Field(ge=64, le=8192, multiple_of=8)]


class LoraBody(BaseModel):
    """An adapter of the stack."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    weight: float | None = Field(None, ge=-4, le=4, allow_inf_nan=False)


class GenerateBody(BaseModel):
    """The body of `POST /generate`: only `prompt` is needed."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"prompt": "red apple"},
                {"model": "pony-xl-v6", "prompt": "test", "seed": 12345},
                {"prompt": "rocket", "steps": 20, "scheduler": "dpmpp-2m-karras", "num_images": 4, "seed": 7},
            ]
        },
    )

    prompt: Annotated[Text, AfterValidator(_something)] = Field(
        description="What to draw, in compel's syntax: `apple++`, `(red apple)1.3`."
    )
    negative_prompt: Text | None = Field(None, description="What to avoid; default: the model's.")
    model: Name | None = Field(None, description="A catalogue id; default: the catalogue's.")
    loras: list[LoraBody] = Field([], max_length=64, description="The adapter stack (not built yet).")
    steps: int = Field(30, ge=1, le=150, description="Denoising steps.")
    guidance_scale: float = Field(7.5, ge=1, le=30, allow_inf_nan=False)
    seed: int | None = Field(
        None, ge=-1, lt=SEED_LIMIT, description="Image k uses seed + k; null or -1: one is drawn."
    )
    width: Side | None = Field(None, description="Pixels, a multiple of 8; default: the model's.")
    height: Side | None = Field(None, description="Pixels, a multiple of 8; default: the model's.")
    num_images: int = Field(1, ge=1, le=16)
    scheduler: Name = Field(MODEL_DEFAULT, description="An id of `GET /schedulers`.")
    clip_skip: int | None = Field(
        None, ge=1, le=12, description="As the web UIs count: 2 is SDXL's own layer; default: the model's."
    )
    ip_strength: float = Field(0.0, ge=0, le=1, allow_inf_nan=False, description="0 (not built yet).")
    prompt_prefix: bool = Field(True, description="Put the model's prompt prefix before the prompt.")


def resolve(body: GenerateBody, catalog: Catalog, max_pixels: int) -> GenerationRequest:
    """Find the model, check what depends on it, fill in every default and draw the seed.

    Raises UnknownModel, WeightsMissing, WeightsInvalid, InvalidRequest or NotBuiltYet.
    """
    return resolve_with(body, catalog.find(body.model or catalog.default_model), max_pixels)


def resolve_for_cli(body: GenerateBody, catalog: Catalog, max_pixels: int) -> GenerationRequest:
    """Like `resolve`, but `model` may also be the path of a diffusers folder."""
    if body.model and body.model not in catalog.models() and Path(body.model).expanduser().exists():
        return resolve_with(body, catalog.find_path(Path(body.model)), max_pixels)
    try:
        return resolve(body, catalog, max_pixels)
    except UnknownModel as error:
        raise UnknownModel(f"{error}, nor a folder of that name", remedy=error.remedy) from None


def resolve_with(body: GenerateBody, found: FoundModel, max_pixels: int) -> GenerationRequest:
    _refuse_unbuilt(body)
    entry = found.entry
    width, height = body.width or found.size[0], body.height or found.size[1]
    _check_size(found, width, height, min(max_pixels, entry.max_pixels or max_pixels))
    scheduler = find_scheduler(
        entry.scheduler if body.scheduler == MODEL_DEFAULT and entry.scheduler else body.scheduler
    )
    if body.steps > scheduler.max_steps:
        raise InvalidRequest(
            f"scheduler {scheduler.id} takes at most {scheduler.max_steps} steps, not {body.steps}",
            field="steps",
        )
    clip_skip = body.clip_skip or entry.clip_skip
    if clip_skip > found.facts.text_layers:
        raise InvalidRequest(
            f"clip_skip {clip_skip} is more than {found.id}'s {found.facts.text_layers} text layers",
            field="clip_skip",
        )
    prefixed = body.prompt_prefix and entry.prompt_prefix
    negative = entry.default_negative if body.negative_prompt is None else body.negative_prompt
    return GenerationRequest(
        prompt=body.prompt,
        final_prompt=f"{entry.prompt_prefix}, {body.prompt}" if prefixed else body.prompt,
        negative_prompt=negative.strip(),
        model=found.id,
        model_path=str(found.folder),
        adapters=(),
        steps=body.steps,
        guidance_scale=body.guidance_scale,
        seed=secrets.randbelow(SEED_LIMIT) if body.seed in (None, -1) else body.seed or 0,
        width=width,
        height=height,
        num_images=body.num_images,
        scheduler=scheduler.id,
        clip_skip=clip_skip,
        prompt_prefix=body.prompt_prefix,
    )


def _refuse_unbuilt(body: GenerateBody) -> None:
    if body.loras:
        names = ", ".join(f"'{lora.name}'" for lora in body.loras)
        raise NotBuiltYet(
            f"adapters ({names}) cannot be applied yet, and the picture would not be what you asked for",
            remedy="leave 'loras' out; adapters come with the next release",
        )
    if body.ip_strength > 0:
        raise NotBuiltYet(
            "reference images (ip_strength above 0) cannot be used yet", remedy="leave 'ip_strength' out"
        )


def _check_size(found: FoundModel, width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise InvalidRequest(
            f"{width}x{height} is {width * height:,} pixels; {found.id} may draw {max_pixels:,} here",
            field="width",
            remedy=f"the model's own size is {found.size[0]}x{found.size[1]}",
        )


def describe(request: GenerationRequest) -> dict[str, Any]:
    """The request as responses show it: the body's names, all defaults filled in."""
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "model": request.model,
        "loras": [{"name": use.name, "weight": use.weight} for use in request.adapters],
        "steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "seed": request.seed,
        "width": request.width,
        "height": request.height,
        "num_images": request.num_images,
        "scheduler": request.scheduler,
        "clip_skip": request.clip_skip,
        "prompt_prefix": request.prompt_prefix,
        "ip_strength": request.ip_strength,
    }
