"""From OpenAI's names to those of `POST /generate`, and back again where an error names a field."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from ecurie.api.openai.bodies import ImagesBody
from ecurie.api.problems import from_validation
from ecurie.catalog.a1111_samplers import scheduler_for
from ecurie.catalog.catalog import Catalog
from ecurie.errors import InvalidRequest, RequestError, UnknownSampler
from ecurie.requests.body import GenerateBody

OPENAI_MODELS = re.compile(r"dall-e-[23]|gpt-image-[a-z0-9.-]+|chatgpt-image-latest")
"""Ids that clients have built in."""
SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
STEPS = {"low": 15, "high": 45, "hd": 45, "xhigh": 45, "max": 45}
"""By quality; the others leave the default."""
ALIASES = {"num_inference_steps": "steps", "cfg_scale": "guidance_scale", "lora": "loras"}
LORA_ALIASES = {"lora_name": "name", "scale": "weight"}
OWN = {
    "num_images": "n",
    "format": "output_format",
    "quality": "output_compression",
    "init_image": "image",
    "reference_images": "image",
    "width": "size",
    "height": "size",
}
"""Fields of `POST /generate` that OpenAI's names stand for."""
EXTRA = GenerateBody.model_fields.keys() - {"prompt", "model", "num_images", "format", "quality"}
"""Those that may be sent by their own names."""


def native_model(name: str | None, catalog: Catalog) -> str | None:
    """None is the catalogue's default, which the ids of OpenAI's models mean too where no entry has them."""
    if name is None or name in catalog.models():
        return name
    return None if OPENAI_MODELS.fullmatch(name) else name


def native_body(
    body: ImagesBody, catalog: Catalog, pictures: Mapping[str, Any] | None = None, *, lenient: bool = False
) -> GenerateBody:
    """The same as a body of `POST /generate`; `pictures` are fields for it. `lenient` takes the text of a
    form for numbers.

    Raises InvalidRequest naming the field as the client does.
    """
    _refuse_transparency(body)
    fields = _extra_fields(body) | _size(body) | dict(pictures or {})
    fields |= {"prompt": body.prompt, "num_images": body.n, "format": body.output_format}
    if (model := native_model(body.model, catalog)) is not None:
        fields["model"] = model
    if body.quality in STEPS and not fields.keys() & {"steps", "preset"}:
        fields["steps"] = STEPS[body.quality]
    if body.output_compression is not None:
        fields["quality"] = max(1, body.output_compression)
    with clients_names(body):
        try:
            return GenerateBody.model_validate(fields, strict=False if lenient else None)
        except ValidationError as error:
            raise from_validation(error.errors()) from error


@contextmanager
def clients_names(body: ImagesBody) -> Iterator[None]:
    """Errors in the block name a field as this body does, not as `POST /generate`."""
    extra = body.model_extra or {}
    names = {native: own for native, own in OWN.items() if native not in extra}
    names |= {native: alias for alias, native in ALIASES.items() if alias in extra}
    if "sampler" in extra:
        names["scheduler"] = "sampler"
    try:
        yield
    except RequestError as error:
        first, dot, rest = (error.field or "").partition(".")
        if first not in names:
            raise
        message = re.sub(rf"^{re.escape(first)}\b", names[first], str(error))
        raise type(error)(message, field=names[first] + dot + rest, remedy=error.remedy) from error


def _extra_fields(body: ImagesBody) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in (body.model_extra or {}).items():
        native = ALIASES.get(name, name)
        if native not in EXTRA | {"sampler"}:
            raise _unknown(name)
        if native in fields:
            raise InvalidRequest(f"{name}: '{native}' says the same; send one of them", field=name)
        fields[native] = value
    if "loras" in fields:
        fields["loras"] = _loras(fields["loras"])
    if "sampler" in fields:
        fields["scheduler"] = _scheduler(fields.pop("sampler"), fields.get("scheduler"))
    return fields


def _unknown(name: str) -> InvalidRequest:
    if name in OWN:
        near = OWN[name]
    else:
        known = {*ImagesBody.model_fields, *EXTRA, *ALIASES, "sampler"}
        near = next(iter(difflib.get_close_matches(name, known, 1)), "")
    remedy = f"did you mean '{near}'?" if near else "docs/openai.md lists every field"
    return InvalidRequest(f"{name[:100]}: unknown field", field=name[:100], remedy=remedy)


def _loras(given: Any) -> Any:
    """One or a list; each may be an id, or be written as vLLM-Omni does."""
    return [_lora(one) for one in (given if isinstance(given, list) else [given])]


def _lora(given: Any) -> Any:
    if isinstance(given, str):
        return {"name": given}
    if not isinstance(given, dict):
        return given
    return {LORA_ALIASES.get(name, name): value for name, value in given.items()}


def _scheduler(sampler: Any, schedule: Any) -> str:
    """The two as A1111's clients name them: `DPM++ 2M` and `Karras`."""
    if not (isinstance(sampler, str) and isinstance(schedule, str | None)):
        raise InvalidRequest("sampler: is a text, and so is scheduler beside it", field="sampler")
    try:
        return scheduler_for(sampler, schedule)
    except UnknownSampler as error:
        error.field = "sampler"
        raise


def _size(body: ImagesBody) -> dict[str, int]:
    if body.size == "auto":
        return {}
    sides = SIZE.fullmatch(body.size)
    if sides is None or any(int(side) % 8 or not 64 <= int(side) <= 8192 for side in sides.groups()):
        raise InvalidRequest(
            f"size: {body.size[:40]!r} is not WIDTHxHEIGHT with both from 64 to 8192 and multiples of 8",
            field="size",
            remedy="send such as 1024x1024, or auto for the model's own",
        )
    if body.model_extra and body.model_extra.keys() & {"width", "height"}:
        raise InvalidRequest("size: width and height are there too", field="size", remedy="send one of them")
    return {"width": int(sides[1]), "height": int(sides[2])}


def _refuse_transparency(body: ImagesBody) -> None:
    if body.background == "transparent":
        raise InvalidRequest(
            "background: these models draw opaque pictures only",
            field="background",
            remedy="leave it out, or send auto or opaque",
        )
