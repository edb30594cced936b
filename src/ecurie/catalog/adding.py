"""What a new catalogue entry should say, told from the files themselves and from who published them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ecurie.catalog.catalog import slug
from ecurie.catalog.downloads.plan import Plan
from ecurie.catalog.entries import ADAPTER_SECTIONS
from ecurie.errors import InvalidRequest, WeightsMissing
from ecurie.formats import families
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from ecurie.formats.identify import Identity, Kind, identify
from ecurie.formats.metadata import lineage_of_metadata, lineage_of_name, read_about, trigger_phrases
from ecurie.formats.raw_modules import raw_modules
from ecurie.formats.safetensors_file import Header, read_header

MAX_NAME = 100
MODELS = ("models",)
SDXL_SIZE = (1024, 1024)
RESOLUTION = re.compile(r"(\d{2,4})(?:x(\d{2,4}))?")
# Addresses that people copy from their browser, and the sources that they mean.
PAGES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (
        re.compile(r"https://civitai\.(?:com|red)/models/\d+[^?#]*\?(?:.*&)?modelVersionId=(\d+).*"),
        lambda found: f"civitai:{found[1]}",
    ),
    (
        re.compile(r"https://civitai\.(?:com|red)/api/download/models/(\d+).*"),
        lambda found: f"civitai:{found[1]}",
    ),
    (
        re.compile(r"https://huggingface\.co/([\w.-]+/[\w.-]+)/(?:blob|resolve)/([\w.-]+)/([^?#]+)(?:\?.*)?"),
        lambda found: f"hf:{found[1]}@{found[2]}/{found[3]}",
    ),
    (re.compile(r"https://huggingface\.co/([\w.-]+/[\w.-]+)/?"), lambda found: f"hf:{found[1]}"),
)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """`sections` are where it may stand, `what` is said of it, `notes` are what its user should know."""

    id: str
    sections: tuple[str, ...]
    fields: dict[str, object]
    what: str
    notes: tuple[str, ...] = ()


def source_of_page(text: str) -> str:
    """`civitai:135867` for the address of a page on Civitai or the hub; any other text as it is."""
    found = ((pattern.fullmatch(text), make) for pattern, make in PAGES)
    return next((make(match) for match, make in found if match), text)


def describe(place: Path, source: str, plan: Plan | None) -> NewEntry:
    """The entry for a file or a diffusers folder that is here; `plan` is what its publisher told.

    Raises InvalidRequest for what Écurie cannot use, with what it is; WeightsMissing or WeightsInvalid.
    """
    if place.is_dir():
        size = read_checkpoint(ModelFiles(place)).size
        fields: dict[str, object] = {"name": _name(place, plan), "source": source, "size": list(size)}
        return _entry(MODELS, place, plan, fields, "an SDXL model in diffusers format")
    header = read_header(place)
    identity = identify(header)
    _refuse(place, identity)
    if identity.kind is Kind.ADAPTER:
        return _adapter(place, source, plan, header, identity)
    return _checkpoint(place, source, plan, header, identity)


def local_source(place: Path, base: Path) -> str:
    """Relative where the place lies beside the catalogue, so that both may be moved together.

    Raises WeightsMissing.
    """
    place = place.expanduser().absolute()
    if not place.exists():
        raise WeightsMissing(
            f"there is nothing at {place}",
            remedy="give a file, a folder, hf:…, civitai:… or https://…#sha256=…",
        )
    return f"./{place.relative_to(base)}" if place.is_relative_to(base) else str(place)


def _refuse(place: Path, identity: Identity) -> None:
    """Raises InvalidRequest for all but adapters and whole checkpoints of SDXL."""
    if identity.kind not in (Kind.ADAPTER, Kind.CHECKPOINT):
        remedy = "the catalogue holds whole models and adapters; this is neither"
    elif identity.family == families.SDXL or (identity.kind is Kind.ADAPTER and identity.family is None):
        return
    else:
        remedy = "Écurie runs SDXL and what descends from it"
    raise InvalidRequest(f"{place.name} is {_what(identity)}", remedy=remedy)


def _what(identity: Identity) -> str:
    family = f" for {identity.family} ({identity.why})" if identity.family else ""
    return f"{identity.kind.value}{family}{', ' + identity.detail if identity.detail else ''}"


def _adapter(place: Path, source: str, plan: Plan | None, header: Header, identity: Identity) -> NewEntry:
    labels = {module.label for module in raw_modules(header)[0]}
    plain = all(label.startswith("LoRA") for label in labels)
    words = (plan.trigger_words if plan else ()) or trigger_phrases(header.metadata)
    fields: dict[str, object] = {"name": _name(place, plan, header), "source": source}
    fields["kind"] = "lora" if plain else "lycoris"
    if words:
        fields["trigger_words"] = list(words)
    if lineage_of_metadata(header.metadata) is None and plan and lineage_of_name(plan.base):
        fields["lineage"] = lineage_of_name(plan.base)
    tags = [candidate.text for candidate in read_about(header.metadata).candidates]
    notes = (f"frequent in its captions, not added as trigger words: {', '.join(tags)}",) if tags else ()
    return _entry(ADAPTER_SECTIONS, place, plan, fields, _what(identity), () if words else notes)


def _checkpoint(place: Path, source: str, plan: Plan | None, header: Header, identity: Identity) -> NewEntry:
    fields: dict[str, object] = {"name": _name(place, plan, header), "source": source}
    fields["size"] = list(_size(header.metadata.get("modelspec.resolution", "")))
    if plan and lineage_of_name(plan.base):
        fields["lineage"] = lineage_of_name(plan.base)
    lacks = (f"it lacks: {', '.join(identity.missing)}",) if identity.missing else ()
    return _entry(MODELS, place, plan, fields, _what(identity), lacks)


def _size(text: str) -> tuple[int, int]:
    """What `modelspec.resolution` says (`1024x1024`), where it is a size that can be drawn."""
    match = RESOLUTION.fullmatch(text)
    if match is None:
        return SDXL_SIZE
    width, height = int(match[1]), int(match[2] or match[1])
    usable = all(64 <= side <= 2048 and side % 8 == 0 for side in (width, height))
    return (width, height) if usable else SDXL_SIZE


def _name(place: Path, plan: Plan | None, header: Header | None = None) -> str:
    title = read_about(header.metadata).title if header else None
    name = (plan and plan.name) or (title and title.text) or place.stem
    return "".join(sign for sign in name if sign.isprintable())[:MAX_NAME].strip() or place.stem


def _entry(
    sections: tuple[str, ...],
    place: Path,
    plan: Plan | None,
    fields: dict[str, object],
    what: str,
    notes: tuple[str, ...] = (),
) -> NewEntry:
    if plan and plan.license:
        fields["license"] = plan.license
    named = (plan and plan.name) or place.stem
    return NewEntry(slug(named)[:MAX_NAME].strip("-"), sections, fields, what, notes)
