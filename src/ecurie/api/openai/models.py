"""The catalogue's models as OpenAI lists its own."""

from __future__ import annotations

from contextlib import suppress
from typing import Literal

from pydantic import BaseModel

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.entries import ModelEntry
from ecurie.errors import RequestError, UnknownModel


class ModelOut(BaseModel):
    """`created` is the time of its file in seconds since the epoch, 0 where that is to be downloaded."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["ecurie"] = "ecurie"
    name: str


class ModelsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]


def models_out(catalog: Catalog) -> ModelsOut:
    """Those that can be used, the default one first."""
    usable = {name: entry for name, entry in catalog.models().items() if catalog.availability(name) is None}
    first = catalog.default_model
    return ModelsOut(
        data=[_model(name, usable[name], catalog) for name in sorted(usable, key=lambda name: name != first)]
    )


def model_out(name: str, catalog: Catalog) -> ModelOut:
    """Raises UnknownModel."""
    entry = catalog.models().get(name)
    if entry is None:
        raise UnknownModel(f"there is no model '{name[:100]}'", field="model", remedy="see GET /v1/models")
    return _model(name, entry, catalog)


def _model(name: str, entry: ModelEntry, catalog: Catalog) -> ModelOut:
    created = 0
    with suppress(RequestError, OSError):
        created = int(catalog.find(name).files.main.stat().st_mtime)
    return ModelOut(id=name, created=created, name=entry.name)
