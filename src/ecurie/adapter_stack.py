"""A request's adapter stack: what a body and the prompt's tags ask for, checked and settled."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from ecurie.catalog.catalog import FoundAdapter, FoundModel
from ecurie.catalog.entries import AdapterEntry, Weight
from ecurie.catalog.inspection import adapter_warnings
from ecurie.catalog.lineage import lineage_of_adapter
from ecurie.catalog.triggers import triggers_of
from ecurie.domain import AdapterUse
from ecurie.errors import InvalidRequest, RequestError
from ecurie.formats.adapter_file import AdapterFile, read_adapter
from ecurie.formats.blocks import (
    BASE,
    LARGEST,
    LISTS,
    Given,
    beginnings,
    blocks_of,
    check_blocks,
    notes_on_blocks,
    settle_blocks,
)
from ecurie.formats.hashes import auto_v3_of, sha256_of
from ecurie.formats.inventory import Inventory
from ecurie.formats.peft_config import config_beside, config_sha256_of
from ecurie.formats.prompt_tags import Tag
from ecurie.formats.safetensors_file import Stamp, is_settled, stamp_of

MAX_ADAPTERS = 64
FindAdapter = Callable[[str], FoundAdapter]
NUMBER = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
BLOCK_SCHEMAS = [
    *({"type": "array", "items": NUMBER, "minItems": length, "maxItems": length} for length in LISTS),
    {"type": "object", "additionalProperties": NUMBER, "propertyNames": {"enum": beginnings()}},
]


def plain_text(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a UTF-16 surrogate pair") from None
    return text


# What `plain_text` refuses, in OpenAPI's words; its JSON has no halves of surrogate pairs.
PLAIN = {"pattern": r"^[^\u0000]*$"}
Name = Annotated[
    str, Field(min_length=1, max_length=200, json_schema_extra=PLAIN), AfterValidator(plain_text)
]
# One message of our own instead of one for each member of the union.
Blocks = Annotated[
    list[Weight] | dict[str, Weight], BeforeValidator(check_blocks), WithJsonSchema({"anyOf": BLOCK_SCHEMAS})
]


class LoraBody(BaseModel):
    """An adapter of the stack."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Name
    weight: Weight | None = Field(None, description="For both parts; default: the catalogue's.")
    unet: Weight | None = Field(None, description="For the UNet, instead of `weight`.")
    text_encoder: Weight | None = Field(None, description="For the text encoders, instead of `weight`.")
    blocks: Blocks | None = Field(
        None,
        description="Numbers that multiply the weights by block: 12, 17, 20 or 26 of them, or by name.",
        examples=[{"IN": 0.5, "M00": 0}, [1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]],
    )
    strict: bool = Field(True, description="Refuse a file that does not fit whole; false applies the rest.")


def resolve_stack(
    loras: list[LoraBody], tags: list[Tag], find_adapter: FindAdapter, model: FoundModel
) -> tuple[AdapterUse, ...]:
    """The adapters of the body, then those of the prompt.

    Raises what `find_adapter` and `read_adapter` raise, naming the field.
    """
    refuse_too_many(len(loras) + len(tags))
    uses = []
    for number, lora in enumerate(loras):
        with _in_field(f"loras.{number}"):
            uses.append(_use(lora, find_adapter, model))
    for tag in tags:
        with _in_field("prompt"):
            use = _use(lora_of(tag), find_adapter, model)
        uses.append(dataclasses.replace(use, in_prompt=True))
    refuse_two_of_one_name(uses)
    return tuple(uses)


def refuse_too_many(adapters: int) -> None:
    """The body's are counted by its own check, so it is the prompt that has too many."""
    if adapters > MAX_ADAPTERS:
        raise InvalidRequest(f"a stack holds at most {MAX_ADAPTERS} adapters", field="prompt")


def refuse_two_of_one_name(uses: Iterable[AdapterUse]) -> None:
    """Two adapters may not bring embeddings of one name along: the prompt could mean either."""
    owners: dict[str, str] = {}
    for use in uses:
        for name in use.embeddings if use.active else ():
            owner = owners.setdefault(name.casefold(), use.sha256)
            if owner != use.sha256:
                raise InvalidRequest(
                    f"{use.name} and another adapter of the stack both bring an embedding called {name}",
                    field="loras",
                    remedy="use one of them",
                )


@contextmanager
def _in_field(name: str) -> Iterator[None]:
    try:
        yield
    except RequestError as error:
        error.field = name
        raise


def lora_of(tag: Tag) -> LoraBody:
    """The same as a body says it; the tag's grammar has checked every value."""
    blocks = None if tag.blocks is None else list(tag.blocks)
    return LoraBody.model_construct(
        name=tag.name, unet=tag.unet, text_encoder=tag.text_encoder, blocks=blocks
    )


def _use(lora: LoraBody, find_adapter: FindAdapter, model: FoundModel) -> AdapterUse:
    """Check the adapter's header against the model's inventory, and settle its weights."""
    adapter = find_adapter(lora.name)
    inventory = model.checkpoint.inventory
    described = _described(adapter.file, inventory, lora.strict)
    triggers = triggers_of(adapter.entry, described.metadata)
    lineage = lineage_of_adapter(adapter.entry, described.metadata)
    unet, text_encoder = weights_of(lora, adapter.entry)
    notes = list(adapter_warnings(adapter.id, model, lineage))
    if lora.blocks is not None:
        notes += notes_on_blocks(lora.blocks, _touched(described, inventory))
    return AdapterUse(
        name=adapter.id,
        file=str(adapter.file),
        sha256=sha256_of(adapter.file),
        auto_v3=auto_v3_of(adapter.file),
        config_sha256=config_sha256_of(adapter.file),
        embeddings=tuple(embedding.name for embedding in described.embeddings),
        stamp=described.stamp if is_settled(described.stamp) else None,
        bytes=described.stamp[1],
        unet=unet,
        text_encoder=text_encoder,
        triggers=triggers.as_prompt,
        triggers_from=triggers.source,
        warnings=tuple(notes),
        blocks=pairs_of(lora.blocks),
        strict=lora.strict,
    )


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _TheVery:
    """An inventory that equals itself alone: to compare two would take as long as to read a file."""

    inventory: Inventory

    def __hash__(self) -> int:
        return id(self.inventory)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _TheVery) and other.inventory is self.inventory


def _described(file: Path, inventory: Inventory, strict: bool) -> AdapterFile:
    """What `read_adapter` says, remembered for this state of the file: the cells of a sweep ask a hundred
    times for the same stack, and a stack may name one file 64 times."""
    config = config_beside(file)
    stamps = (stamp_of(file), None if config is None else stamp_of(config))
    if not all(is_settled(stamp) for stamp in stamps if stamp is not None):
        return read_adapter(file, inventory, strict=strict)
    return _remembered(file, stamps, _TheVery(inventory), strict)


@lru_cache(maxsize=MAX_ADAPTERS)
def _remembered(
    file: Path, _stamps: tuple[Stamp, Stamp | None], model: _TheVery, strict: bool
) -> AdapterFile:
    return read_adapter(file, model.inventory, strict=strict)


def weights_of(lora: LoraBody, entry: AdapterEntry) -> tuple[float, float]:
    """(for the UNet, for the text encoders)"""
    weight = entry.default_weight if lora.weight is None else lora.weight
    return (
        weight if lora.unet is None else lora.unet,
        weight if lora.text_encoder is None else lora.text_encoder,
    )


def pairs_of(given: Given | None) -> tuple[tuple[str, float], ...]:
    return () if given is None else tuple(settle_blocks(given).items())


def _touched(described: AdapterFile, inventory: Inventory) -> set[str]:
    """The blocks that a file changes."""
    block_of = blocks_of(frozenset(inventory["unet"]))
    return {block_of[module.path] if module.part == "unet" else BASE for module in described.modules}


def inject_triggers(prompt: str, uses: tuple[AdapterUse, ...]) -> tuple[list[str], tuple[AdapterUse, ...]]:
    """The trigger phrases that the prompt does not hold yet, in stack order; an adapter of weight 0 has none.
    Returns the uses with the triggers that were added."""
    settled: list[AdapterUse] = []
    added: list[str] = []
    for use in uses:
        own = []
        for phrase in use.triggers if use.active else ():
            if not re.search(
                rf"(?<!\w){re.escape(phrase)}(?!\w)", ", ".join([prompt, *added]), re.IGNORECASE
            ):
                added.append(phrase)
                own.append(phrase)
        settled.append(dataclasses.replace(use, triggers=tuple(own)))
    return added, tuple(settled)


def without_triggers(uses: tuple[AdapterUse, ...]) -> tuple[AdapterUse, ...]:
    return tuple(dataclasses.replace(use, triggers=()) for use in uses)
