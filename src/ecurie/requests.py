"""What a client may ask for, and how it becomes a GenerationRequest with nothing left open."""

from __future__ import annotations

import dataclasses
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ecurie.catalog.catalog import Catalog, FoundAdapter, FoundModel, adapter_of_file
from ecurie.catalog.entries import Weight
from ecurie.catalog.schedulers import MODEL_DEFAULT, find_scheduler
from ecurie.domain import SEED_LIMIT, AdapterUse, GenerationRequest
from ecurie.errors import InvalidRequest, NotBuiltYet, UnknownModel
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.hashes import auto_v3_of, sha256_of
from ecurie.formats.inventory import read_inventory

MAX_PROMPT = 10_000
FindAdapter = Callable[[str], FoundAdapter]


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
    weight: Weight | None = Field(None, description="For both parts; default: the catalogue's.")
    unet: Weight | None = Field(None, description="For the UNet, instead of `weight`.")
    text_encoder: Weight | None = Field(None, description="For the text encoders, instead of `weight`.")


class GenerateBody(BaseModel):
    """The body of `POST /generate`: only `prompt` is needed."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"prompt": "red apple"},
                {"model": "pony-xl-v6", "prompt": "test", "seed": 12345},
                {"prompt": "red apple", "loras": [{"name": "my-style", "weight": 0.8}]},
                {"prompt": "rocket", "steps": 20, "scheduler": "dpmpp-2m-karras", "num_images": 4, "seed": 7},
            ]
        },
    )

    prompt: Annotated[Text, AfterValidator(_something)] = Field(
        description="What to draw, in compel's syntax: `apple++`, `(red apple)1.3`."
    )
    negative_prompt: Text | None = Field(None, description="What to avoid; default: the model's.")
    model: Name | None = Field(None, description="A catalogue id; default: the catalogue's.")
    loras: list[LoraBody] = Field([], max_length=64, description="The adapter stack.")
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
    inject_triggers: bool = Field(True, description="Add the adapters' trigger words to the prompt.")
    prompt_prefix: bool = Field(True, description="Put the model's prompt prefix before the prompt.")


def resolve(body: GenerateBody, catalog: Catalog, max_pixels: int) -> GenerationRequest:
    """Find the model, check what depends on it, fill in every default and draw the seed.

    Raises UnknownModel, WeightsMissing, WeightsInvalid, InvalidRequest or NotBuiltYet.
    """
    found = catalog.find(body.model or catalog.default_model)
    return resolve_with(body, found, max_pixels, catalog.find_adapter)


def resolve_for_cli(body: GenerateBody, catalog: Catalog, max_pixels: int) -> GenerationRequest:
    """Like `resolve`, but `model` may also be the path of a diffusers folder, an adapter that of a file."""

    def find_adapter(name: str) -> FoundAdapter:
        if name not in catalog.adapters() and Path(name).expanduser().is_file():
            return adapter_of_file(Path(name))
        return catalog.find_adapter(name)

    if body.model and body.model not in catalog.models() and Path(body.model).expanduser().exists():
        return resolve_with(body, catalog.find_path(Path(body.model)), max_pixels, find_adapter)
    try:
        found = catalog.find(body.model or catalog.default_model)
        return resolve_with(body, found, max_pixels, find_adapter)
    except UnknownModel as error:
        raise UnknownModel(f"{error}, nor a folder of that name", remedy=error.remedy) from None


def resolve_with(
    body: GenerateBody, found: FoundModel, max_pixels: int, find_adapter: FindAdapter
) -> GenerationRequest:
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
    uses = tuple(_use(lora, find_adapter(lora.name), found) for lora in body.loras)
    prompt = (
        f"{entry.prompt_prefix}, {body.prompt}" if body.prompt_prefix and entry.prompt_prefix else body.prompt
    )
    prompt, uses = (
        _inject_triggers(prompt, uses) if body.inject_triggers else (prompt, _without_triggers(uses))
    )
    negative = entry.default_negative if body.negative_prompt is None else body.negative_prompt
    return GenerationRequest(
        prompt=body.prompt,
        final_prompt=prompt,
        negative_prompt=negative.strip(),
        model=found.id,
        model_path=str(found.folder),
        adapters=uses,
        steps=body.steps,
        guidance_scale=body.guidance_scale,
        seed=secrets.randbelow(SEED_LIMIT) if body.seed in (None, -1) else body.seed or 0,
        width=width,
        height=height,
        num_images=body.num_images,
        scheduler=scheduler.id,
        clip_skip=clip_skip,
        prompt_prefix=body.prompt_prefix,
        inject_triggers=body.inject_triggers,
    )


def _refuse_unbuilt(body: GenerateBody) -> None:
    if body.ip_strength > 0:
        raise NotBuiltYet(
            "reference images (ip_strength above 0) cannot be used yet", remedy="leave 'ip_strength' out"
        )


def _use(lora: LoraBody, adapter: FoundAdapter, model: FoundModel) -> AdapterUse:
    """Check the adapter's header against the model's inventory, and settle its weights."""
    read_adapter(adapter.file, read_inventory(model.folder, model.facts.stamp))
    weight = adapter.entry.default_weight if lora.weight is None else lora.weight
    advised = model.entry.supported_loras
    warnings = (f"not among the adapters that {model.id} is known to work with",)
    return AdapterUse(
        name=adapter.id,
        file=str(adapter.file),
        sha256=sha256_of(adapter.file),
        auto_v3=auto_v3_of(adapter.file),
        unet=weight if lora.unet is None else lora.unet,
        text_encoder=weight if lora.text_encoder is None else lora.text_encoder,
        triggers=adapter.entry.trigger_words,
        warnings=warnings if advised and adapter.id not in advised else (),
    )


def _inject_triggers(prompt: str, uses: tuple[AdapterUse, ...]) -> tuple[str, tuple[AdapterUse, ...]]:
    """Append each trigger phrase that the prompt does not hold yet, in stack order; an adapter of weight 0
    adds none. Returns the uses with the triggers that were added."""
    settled = []
    for use in uses:
        added = []
        for phrase in use.triggers if use.unet or use.text_encoder else ():
            if not re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", prompt, re.IGNORECASE):
                prompt = f"{prompt}, {phrase}"
                added.append(phrase)
        settled.append(dataclasses.replace(use, triggers=tuple(added)))
    return prompt, tuple(settled)


def _without_triggers(uses: tuple[AdapterUse, ...]) -> tuple[AdapterUse, ...]:
    return tuple(dataclasses.replace(use, triggers=()) for use in uses)


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
        "loras": [
            {"name": use.name, "unet": use.unet, "text_encoder": use.text_encoder} for use in request.adapters
        ],
        "steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "seed": request.seed,
        "width": request.width,
        "height": request.height,
        "num_images": request.num_images,
        "scheduler": request.scheduler,
        "clip_skip": request.clip_skip,
        "prompt_prefix": request.prompt_prefix,
        "inject_triggers": request.inject_triggers,
        "ip_strength": request.ip_strength,
    }
