"""From what an image tells of itself to a body that makes one like it, as far as this server can.

Unlike a replay it promises nothing: what is not here is left out, and said in a note.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError

from ecurie.adapter_stack import lora_of
from ecurie.catalog.catalog import Catalog, slug
from ecurie.errors import ManifestInvalid, RequestError
from ecurie.formats.prompt_tags import EDGE, TAG, take_tags
from ecurie.images.infotext_reading import read_infotext
from ecurie.images.manifest import read_manifest, request_of
from ecurie.images.reading import ImageText
from ecurie.mistakes import first_mistake
from ecurie.requests.body import GenerateBody
from ecurie.requests.describe import describe
from ecurie.requests.from_infotext import body_of_infotext
from ecurie.requests.pictures import FindPicture

START = ("init_image", "strength", "resize", "mask", "mask_blur")
LOOK = ("reference_images", "ip_strength", "ip_adapter")


@dataclass(frozen=True, slots=True)
class Recalled:
    """`request` is a body of `POST /generate`; `notes` say what of the image is not in it. `made_by` is whose
    words the image holds: Écurie's manifest or A1111's parameters; null: none, and the request is empty."""

    made_by: Literal["ecurie", "a1111"] | None
    format: str
    width: int
    height: int
    request: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def recall(text: ImageText, catalog: Catalog, find_picture: FindPicture) -> Recalled:
    """Raises nothing for whatever the image tells."""
    notes: list[str] = []
    made_by, body = _told(text, catalog, notes)
    if made_by is not None:
        _leave_out_what_is_not_here(body, catalog, find_picture, notes)
        _leave_out_what_is_refused(body, notes)
    return Recalled(made_by, text.format, text.width, text.height, body, tuple(notes))


def _told(
    text: ImageText, catalog: Catalog, notes: list[str]
) -> tuple[Literal["ecurie", "a1111"] | None, dict[str, Any]]:
    if text.manifest is not None:
        try:
            described = describe(request_of(read_manifest(text.manifest)))
        except ManifestInvalid as error:
            notes.append(f"its manifest cannot be read: {error}")
        else:
            return "ecurie", {name: value for name, value in described.items() if value is not None}
    if text.parameters is not None:
        body, own = body_of_infotext(read_infotext(text.parameters), catalog)
        notes += own
        return "a1111", body
    return None, {}


def _leave_out_what_is_not_here(
    body: dict[str, Any], catalog: Catalog, find: FindPicture, notes: list[str]
) -> None:
    model = body.get("model")
    if model is not None and model not in catalog.models():
        del body["model"]
        notes.append(f"the model '{model}' is not in this server's catalogue")
    if body.get("preset") not in catalog.presets():
        # All that it said is in the other fields.
        body.pop("preset", None)
    _settle_adapters(body, catalog, notes)
    if body.get("ip_adapter") not in catalog.ip_adapters():
        body.pop("ip_adapter", None)
    if lost := [name for name in ("init_image", "mask") if not _is_here(body.get(name), name, find)]:
        _drop(body, START)
        notes.append(f"the picture of {' and '.join(lost)} is not on this server")
    references = body.get("reference_images", [])
    here = [picture for picture in references if _is_here(picture, "reference_images", find)]
    if len(here) < len(references):
        notes.append(f"{len(references) - len(here)} of its reference pictures are not on this server")
    if here:
        body["reference_images"] = here
    else:
        _drop(body, LOOK)


def _is_here(picture: str | None, name: str, find: FindPicture) -> bool:
    """Also what is not asked for."""
    try:
        return picture is None or bool(find(picture, name))
    except RequestError:
        return False


def _settle_adapters(body: dict[str, Any], catalog: Catalog, notes: list[str]) -> None:
    """Those of tags too become the stack's, by the names that they have here."""
    loras = [*body.get("loras", []), *_loras_in(body["prompt"], notes)]
    known = {lora["name"]: _name_here(lora["name"], catalog) for lora in loras}
    body["prompt"] = _without_tags(body["prompt"])
    body["loras"] = [{**lora, "name": name} for lora in loras if (name := known[lora["name"]])]
    notes += [
        f"the adapter '{name}' is not in this server's catalogue" for name, here in known.items() if not here
    ]


def _loras_in(prompt: str, notes: list[str]) -> Iterator[dict[str, Any]]:
    try:
        for tag in take_tags(prompt)[1]:
            yield lora_of(tag).model_dump(exclude_none=True, exclude_unset=True)
    except RequestError as error:
        notes.append(f"the adapters in its prompt cannot be read: {error}")


def _without_tags(prompt: str) -> str:
    try:
        return take_tags(prompt)[0]
    except RequestError:
        return TAG.sub("", prompt).strip(EDGE)


def _name_here(name: str, catalog: Catalog) -> str | None:
    """Other servers' names are those of files."""
    return next((one for one in (name, slug(name)) if catalog.adapter_entry(one) is not None), None)


def _leave_out_what_is_refused(body: dict[str, Any], notes: list[str]) -> None:
    """Field by field, until the rest may be sent."""
    while mistake := _mistake({"prompt": "any"} | body):
        name, reason = mistake
        field = name.partition(".")[0]
        del body[field]
        notes.append(f"{field} is left out: {reason}")
    if "prompt" not in body:
        notes.append("it tells no prompt")


def _mistake(body: dict[str, Any]) -> tuple[str, str] | None:
    try:
        GenerateBody.model_validate(body)
    except ValidationError as error:
        return first_mistake(error)
    return None


def _drop(body: dict[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        body.pop(name, None)
