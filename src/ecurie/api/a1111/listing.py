"""Lists as the web UI has them."""

from __future__ import annotations

from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict

from ecurie.catalog.a1111_samplers import SAMPLERS, SCHEDULES
from ecurie.catalog.catalog import Catalog
from ecurie.catalog.checkpoint_names import CheckpointName
from ecurie.catalog.embeddings import list_embeddings
from ecurie.errors import RequestError
from ecurie.formats.safetensors_file import read_header


class Item(BaseModel):
    model_config = ConfigDict(protected_namespaces=())


class CheckpointOut(Item):
    title: str
    model_name: str
    hash: str | None
    sha256: str | None
    filename: str
    config: str | None = None


class SamplerOut(Item):
    """`aliases` is our scheduler's id, `options` the schedule type, that `Automatic` means."""

    name: str
    aliases: list[str]
    options: dict[str, str]


class ScheduleOut(Item):
    name: str
    label: str
    aliases: list[str]
    default_rho: float
    need_inner_model: bool


class LoraOut(Item):
    """`name` and `alias` both may stand in a prompt's tag; `path` is without its folder."""

    name: str
    alias: str
    path: str
    metadata: dict[str, str]


class UpscalerOut(Item):
    name: str
    model_name: str | None = None
    model_path: str | None = None
    model_url: str | None = None
    scale: float = 4.0


class NameOut(Item):
    name: str


class EmbeddingOut(Item):
    """`shape` is the width of both text encoders' vectors together; 0 where it is not known."""

    step: int | None = None
    sd_checkpoint: str | None = None
    sd_checkpoint_name: str | None = None
    shape: int
    vectors: int


class EmbeddingsOut(Item):
    loaded: dict[str, EmbeddingOut]
    skipped: dict[str, EmbeddingOut]


class ScriptsOut(Item):
    txt2img: list[str] = []
    img2img: list[str] = []


class MemoryOut(Item):
    ram: dict[str, int]
    cuda: dict[str, Any]


def checkpoint_out(name: CheckpointName) -> CheckpointOut:
    return CheckpointOut(
        title=name.title, model_name=name.id, hash=name.hash, sha256=name.sha256, filename=name.filename
    )


def samplers_out() -> list[SamplerOut]:
    return [
        SamplerOut(
            name=sampler.name,
            aliases=[sampler.schedulers[sampler.usual]],
            options={"scheduler": sampler.usual.casefold()},
        )
        for sampler in SAMPLERS.values()
    ]


def schedules_out() -> list[ScheduleOut]:
    return [
        ScheduleOut(
            name=schedule.name,
            label=schedule.label,
            aliases=list(schedule.aliases),
            default_rho=schedule.rho,
            need_inner_model=schedule.inner_model,
        )
        for schedule in SCHEDULES
    ]


def loras_out(catalog: Catalog) -> list[LoraOut]:
    """Those that a prompt may name now."""
    usable = [one for one in catalog.adapters() if catalog.adapter_availability(one) is None]
    return [_lora_out(adapter_id, catalog) for adapter_id in usable]


def _lora_out(adapter_id: str, catalog: Catalog) -> LoraOut:
    """One that is to be downloaded tells nothing of its file yet."""
    try:
        file = catalog.find_adapter(adapter_id).file
        metadata = read_header(file).metadata
    except RequestError:
        return LoraOut(name=adapter_id, alias=adapter_id, path=f"{adapter_id}.safetensors", metadata={})
    alias = catalog.adapter_alias(adapter_id) or adapter_id
    return LoraOut(name=adapter_id, alias=alias, path=file.name, metadata=metadata)


def embeddings_out(catalog: Catalog) -> EmbeddingsOut:
    """Those that the default model cannot use are skipped."""
    listed = list_embeddings(catalog)
    usable = [one for one in listed if one.unavailable is None]
    width = _embedding_width(catalog) if usable else 0
    return EmbeddingsOut(
        loaded={one.name: EmbeddingOut(shape=width, vectors=one.vectors or 0) for one in usable},
        skipped={one.name: EmbeddingOut(shape=0, vectors=0) for one in listed if one.unavailable},
    )


def _embedding_width(catalog: Catalog) -> int:
    inventory = catalog.find(catalog.default_model).checkpoint.inventory
    encoders = (inventory["text_encoder"], inventory["text_encoder_2"])
    return sum(encoder["embeddings.token_embedding"].shape[1] for encoder in encoders)


def memory_out() -> MemoryOut:
    """Bytes. An accelerator's memory is the workers' to tell: `GET /system` does."""
    told = psutil.virtual_memory()
    return MemoryOut(
        ram={"free": told.available, "used": told.total - told.available, "total": told.total},
        cuda={"error": "unavailable: GET /system tells what each worker holds"},
    )
