"""A request's files on this machine: it may have been accepted by another, where they lie elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from ecurie.catalog.catalog import Catalog, Entry
from ecurie.catalog.sources import RemoteSource
from ecurie.domain import AdapterUse, EmbeddingUse, GenerationRequest
from ecurie.formats.checkpoint import files_of
from ecurie.requests.finding import find_adapter, find_embedding, find_ip_adapter


def is_placed(request: GenerationRequest) -> bool:
    """Whether everything is where the request says."""
    files = files_of(request)
    paths: list[Path | str | None] = [files.main, files.vae, files.base]
    paths += [use.file for use in request.adapters]
    paths += [use.file for use in request.embeddings]
    if request.ip_adapter is not None:
        paths += [request.ip_adapter.file, request.ip_adapter.encoder]
    return all(Path(path).exists() for path in paths if path is not None)


def sources_of(request: GenerationRequest, catalog: Catalog) -> tuple[RemoteSource, ...]:
    """What this machine's catalogue has to download for it."""
    return tuple(
        dict.fromkeys(source for entry in _entries(request, catalog) for source in catalog.to_download(entry))
    )


def _entries(request: GenerationRequest, catalog: Catalog) -> Iterator[Entry]:
    found: list[Entry | None] = [catalog.models().get(request.model)]
    found += [catalog.adapter_entry(use.name) for use in request.adapters]
    if request.ip_adapter is not None:
        found.append(catalog.ip_adapters().get(request.ip_adapter.name))
    return (entry for entry in found if entry is not None)


def placed(request: GenerationRequest, catalog: Catalog) -> GenerationRequest:
    """The request with this machine's places: its model by id, everything else by its hash.

    Raises UnknownModel, WeightsMissing or WeightsInvalid.
    """
    model = catalog.find(request.model)
    files = model.files
    ip_adapter = request.ip_adapter
    return dataclasses.replace(
        request,
        model_path=str(files.main),
        vae_path=None if files.vae is None else str(files.vae),
        base_path=None if files.base is None else str(files.base),
        adapters=tuple(_adapter(use, catalog) for use in request.adapters),
        embeddings=tuple(_embedding(use, catalog) for use in request.embeddings),
        ip_adapter=ip_adapter and find_ip_adapter(ip_adapter, catalog, model.checkpoint.inventory),
    )


def _adapter(use: AdapterUse, catalog: Catalog) -> AdapterUse:
    return dataclasses.replace(use, file=str(find_adapter(use, catalog).file), stamp=None)


def _embedding(use: EmbeddingUse, catalog: Catalog) -> EmbeddingUse:
    return dataclasses.replace(use, file=str(find_embedding(use, catalog)))
