"""What a catalogue file may say, and where a model's files come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator

from ecurie.catalog.schedulers import find_scheduler
from ecurie.errors import InvalidRequest

ADAPTER_SECTIONS = ("adapters", "loras", "lycoris")
# An id becomes part of file names and URLs.
EntryId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Size = Annotated[int, Field(ge=64, le=8192, multiple_of=8)]
Weight = Annotated[float, Field(ge=-4, le=4, allow_inf_nan=False)]


def _known_scheduler(name: str) -> str:
    try:
        return find_scheduler(name).id
    except InvalidRequest as error:
        raise ValueError(str(error)) from error


SchedulerId = Annotated[str, AfterValidator(_known_scheduler)]
"""By id or label; read as its id."""


class Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    lineage: str | None = Field(None, min_length=1)


class ModelEntry(Entry):
    """A checkpoint. `size`, `clip_skip`, `prediction_type` and `zero_snr` default to the model's own;
    `supported_loras` is advice. `vae` stands instead of its own; `base` is the id of a model that lends the
    parts and configurations that its files lack."""

    source: str = Field(validation_alias=AliasChoices("source", "path"), min_length=1)
    vae: str | None = Field(None, validation_alias=AliasChoices("vae", "vae_path"))
    base: str | None = None
    prediction_type: Literal["epsilon", "v_prediction"] | None = None
    zero_snr: bool | None = None
    default_negative: str = ""
    prompt_prefix: str = ""
    size: tuple[Size, Size] | None = None
    max_pixels: int | None = Field(None, ge=64)
    clip_skip: int = Field(2, ge=1, le=12)
    scheduler: SchedulerId | None = None
    supported_loras: tuple[str, ...] = ()
    license: str | None = None


class AdapterEntry(Entry):
    """A LoRA or LyCORIS adapter. What it really is, is told from its file, never from `kind`."""

    source: str = Field(validation_alias=AliasChoices("source", "path"), min_length=1)
    kind: str = "lora"
    default_weight: Weight = 1.0
    trigger_words: tuple[str, ...] = ()
    license: str | None = None


class PresetAdapter(BaseModel):
    """An adapter that a preset puts into the stack; the weights are as in a request."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=200)
    weight: Weight | None = None
    unet: Weight | None = None
    text_encoder: Weight | None = None


class PresetEntry(Entry):
    """Settings that belong together, such as those that a few-step adapter was trained for. What is not
    given stays with the request's own defaults."""

    steps: int | None = Field(None, ge=1, le=150)
    guidance_scale: float | None = Field(None, ge=1, le=30, allow_inf_nan=False)
    scheduler: SchedulerId | None = None
    adapters: tuple[PresetAdapter, ...] = ()


class IpAdapterEntry(Entry):
    """What lets a model draw with reference pictures: one file, and the folder of the CLIP image encoder that
    it was trained with."""

    source: str = Field(validation_alias=AliasChoices("source", "path"), min_length=1)
    image_encoder: str = Field(min_length=1)
    license: str | None = None


class Defaults(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str


class CatalogFile(BaseModel):
    """The whole file. The sections in ADAPTER_SECTIONS all hold adapters."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    defaults: Defaults
    models: dict[EntryId, ModelEntry] = Field(min_length=1)
    adapters: dict[EntryId, AdapterEntry] = {}
    presets: dict[EntryId, PresetEntry] = {}
    ip_adapters: dict[EntryId, IpAdapterEntry] = {}

    @model_validator(mode="before")
    @classmethod
    def _merge_sections(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        merged = dict(data)
        for section in ADAPTER_SECTIONS:
            if not isinstance(merged.get(section) or {}, dict):
                raise ValueError(f"'{section}' should be a mapping of ids to entries")
        adapters = dict(merged.get("adapters") or {})
        for section, kind in (("loras", "lora"), ("lycoris", "lycoris")):
            for key, entry in (merged.pop(section, None) or {}).items():
                adapters[key] = {"kind": kind, **entry} if isinstance(entry, dict) else entry
        merged["adapters"] = adapters
        # A section that was left empty.
        return {section: content for section, content in merged.items() if content is not None}
