"""The catalogue as the rest of Écurie sees it: entries by id, followed while its file and folders change."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from ecurie.catalog.entries import AdapterEntry, CatalogFile, ModelEntry
from ecurie.catalog.sources import locate, locate_file
from ecurie.catalog.yaml_file import read_catalog
from ecurie.errors import (
    CatalogError,
    NotBuiltYet,
    RequestError,
    UnknownAdapter,
    UnknownModel,
    WeightsMissing,
)
from ecurie.formats.diffusers_folder import FolderFacts, read_folder

log = logging.getLogger(__name__)
BUILTIN = {name: Path(__file__).parent / f"{name}.yaml" for name in ("default", "demo")}


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model whose files are here: `folder` holds them, `facts` is what their configuration says."""

    id: str
    entry: ModelEntry
    folder: Path
    facts: FolderFacts

    @property
    def size(self) -> tuple[int, int]:
        return self.entry.size or self.facts.size


@dataclass(frozen=True, slots=True)
class FoundAdapter:
    """An adapter whose file is here."""

    id: str
    entry: AdapterEntry
    file: Path


def adapter_of_file(file: Path) -> FoundAdapter:
    """An adapter that is in no catalogue: a file given on the command line."""
    file = file.expanduser().absolute()
    return FoundAdapter(file.stem, AdapterEntry(name=file.stem, source=str(file)), file)


class Catalog:
    """Follows one catalogue file and `models/checkpoints`; a broken edit leaves the last good state in use.

    Raises CatalogError when the file cannot be read at the start.
    """

    def __init__(self, file: Path, models_dir: Path):
        self._file, self._models_dir = file, models_dir
        self._stamp = self._read_stamp()
        self._content = read_catalog(file)
        self._error: CatalogError | None = None

    def _read_stamp(self) -> tuple[int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size

    def _current(self) -> CatalogFile:
        stamp = self._read_stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._content = read_catalog(self._file)
                self._error = None
                log.info("catalogue %s read again", self._file)
            except CatalogError as error:
                self._error = error
                log.error("catalogue kept as it was: %s", error)
        return self._content

    @property
    def error(self) -> CatalogError | None:
        """What is wrong with the file as it is now, if the last good state is in use instead."""
        self._current()
        return self._error

    @property
    def default_model(self) -> str:
        return self._current().defaults.model

    def models(self) -> dict[str, ModelEntry]:
        """Diffusers folders under `models/checkpoints` by slugged name, and the file's entries, which win."""
        found: dict[str, ModelEntry] = {}
        checkpoints = self._models_dir / "checkpoints"
        for index in sorted(checkpoints.glob("*/model_index.json")):
            folder = index.parent
            found[_free_id(slug(folder.name), found)] = ModelEntry(name=folder.name, source=str(folder))
        return {**found, **self._current().models}

    def adapters(self) -> dict[str, AdapterEntry]:
        """Files under `models/adapters` by slugged name, and the catalogue file's entries, which win."""
        found: dict[str, AdapterEntry] = {}
        for file in sorted((self._models_dir / "adapters").glob("*.safetensors")):
            found[_free_id(slug(file.stem), found)] = AdapterEntry(name=file.stem, source=str(file))
        return {**found, **self._current().adapters}

    def find_adapter(self, adapter_id: str) -> FoundAdapter:
        """Raises UnknownAdapter, WeightsMissing, InvalidRequest or NotBuiltYet."""
        entries = self.adapters()
        if adapter_id not in entries:
            known = ", ".join(sorted(entries)) or "none yet; put .safetensors files under models/adapters"
            raise UnknownAdapter(f"there is no adapter '{adapter_id}'", remedy=f"use one of: {known}")
        entry = entries[adapter_id]
        file = locate_file(
            entry.source, entry_id=adapter_id, base=self._file.parent, models_dir=self._models_dir
        )
        return FoundAdapter(adapter_id, entry, file)

    def find(self, model_id: str) -> FoundModel:
        """The model with its folder checked, or by path when `model_id` is a folder.

        Raises UnknownModel, WeightsMissing, WeightsInvalid or NotBuiltYet, each saying what to do.
        """
        entries = self.models()
        if model_id not in entries:
            known = ", ".join(sorted(entries))
            raise UnknownModel(f"there is no model '{model_id}'", remedy=f"use one of: {known}")
        entry = entries[model_id]
        if entry.vae is not None:
            raise NotBuiltYet(
                f"model '{model_id}' asks for another VAE ({entry.vae}), which cannot be used yet",
                remedy="take 'vae' out of its catalogue entry to use the model's own",
            )
        folder = locate(entry.source, model_id=model_id, base=self._file.parent, models_dir=self._models_dir)
        try:
            return FoundModel(model_id, entry, folder, read_folder(folder))
        except WeightsMissing as error:
            remedy = f"run: ecurie pull {model_id}" if entry.source.startswith("hf:") else error.remedy
            raise WeightsMissing(str(error), remedy=remedy) from error

    def find_path(self, folder: Path) -> FoundModel:
        """A model that is in no catalogue: a diffusers folder given on the command line."""
        folder = folder.expanduser().absolute()
        entry = ModelEntry(name=folder.name, source=str(folder))
        return FoundModel(slug(folder.name), entry, folder, read_folder(folder))

    def adapter_availability(self, adapter_id: str) -> str | None:
        """None when the adapter's file is here, else why it cannot be used."""
        try:
            self.find_adapter(adapter_id)
        except RequestError as error:
            return f"{error}; {error.remedy}" if error.remedy else str(error)
        return None

    def availability(self, model_id: str) -> str | None:
        """None when the model can be used, else why not."""
        try:
            self.find(model_id)
        except RequestError as error:
            return f"{error}; {error.remedy}" if error.remedy else str(error)
        return None


def _free_id(wanted: str, taken: Container[str]) -> str:
    numbered = (f"{wanted}-{number}" for number in itertools.count(2))
    return wanted if wanted not in taken else next(name for name in numbered if name not in taken)


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "model"
