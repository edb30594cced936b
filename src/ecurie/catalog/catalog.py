"""The catalogue as the rest of Écurie sees it: entries by id, followed while its file and folders change."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ecurie.catalog.entries import AdapterEntry, CatalogFile, IpAdapterEntry, ModelEntry, PresetEntry
from ecurie.catalog.sources import RemoteSource, is_here, locate, locate_file, remote_folder_of, remote_of
from ecurie.catalog.yaml_file import read_catalog
from ecurie.errors import (
    CatalogError,
    InvalidRequest,
    RequestError,
    UnknownAdapter,
    UnknownModel,
    UnknownPreset,
    WeightsMissing,
)
from ecurie.formats.checkpoint import Checkpoint, ModelFiles, read_checkpoint
from ecurie.formats.embedding_file import PICKLES
from ecurie.formats.metadata import OUTPUT_NAME
from ecurie.formats.safetensors_file import read_header

log = logging.getLogger(__name__)
Entry = ModelEntry | AdapterEntry | IpAdapterEntry
BUILTIN = {name: Path(__file__).parent / f"{name}.yaml" for name in ("default", "demo")}


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model whose files are here, and what they say."""

    id: str
    entry: ModelEntry
    files: ModelFiles
    checkpoint: Checkpoint

    @property
    def size(self) -> tuple[int, int]:
        return self.entry.size or self.checkpoint.size


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

    With `download_on_use` an entry whose files are not here yet can be used all the same. Raises CatalogError
    when the file cannot be read at the start.
    """

    def __init__(
        self,
        file: Path,
        models_dir: Path,
        *,
        download_on_use: bool = False,
        wildcards_dir: Path | None = None,
    ):
        self._file, self.base, self.models_dir = file, file.parent, models_dir
        self.wildcards_dir = wildcards_dir
        self._download_on_use = download_on_use
        self._stamp = self._read_stamp()
        self._content = read_catalog(file)
        self._error: CatalogError | None = None
        self._links_out: set[Path] = set()

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
        """Diffusers folders and single files under `models/checkpoints` by slugged name, and the file's
        entries, which win."""
        found: dict[str, ModelEntry] = {}
        folders = (self.models_dir / "checkpoints").glob("*/model_index.json")
        for path in [*(index.parent for index in sorted(folders)), *self._scanned("checkpoints")]:
            name = path.name if path.is_dir() else path.stem
            found[_free_id(slug(name), found)] = ModelEntry(name=name, source=str(path))
        return {**found, **self._current().models}

    def models_here(self) -> list[str]:
        """Ids of the models that have something at the place of their source; no file is read."""
        found = []
        for model_id, entry in self.models().items():
            with suppress(RequestError):
                self._locate(model_id, entry.source)
                found.append(model_id)
        return found

    def adapters(self) -> dict[str, AdapterEntry]:
        """Files under `models/adapters` by slugged name, and the catalogue file's entries, which win."""
        found: dict[str, AdapterEntry] = {}
        for file in self._scanned("adapters"):
            found[_free_id(slug(file.stem), found)] = AdapterEntry(name=file.stem, source=str(file))
        return {**found, **self._current().adapters}

    def ip_adapters(self) -> dict[str, IpAdapterEntry]:
        return dict(self._current().ip_adapters)

    def embedding_files(self) -> dict[str, Path]:
        """Textual-inversion embeddings under `models/embeddings` by their names, the files' without ending:
        pickles too, which are refused when they are named."""
        folder = self.models_dir / "embeddings"
        pickles = [file for suffix in PICKLES for file in sorted(folder.glob(f"*{suffix}"))]
        return {file.stem: file for file in [*pickles, *self._scanned("embeddings")]}

    def _scanned(self, name: str) -> Iterator[Path]:
        """The files in a folder of models; whoever may write there should not choose which others are
        read."""
        folder = self.models_dir / name
        within = os.path.realpath(folder)
        for file in sorted(folder.glob("*.safetensors")):
            if Path(os.path.realpath(file)).is_relative_to(within):
                yield file
            elif file not in self._links_out:
                log.warning("%s leads out of its folder: name its target in the catalogue to use it", file)
                self._links_out.add(file)

    def presets(self) -> dict[str, PresetEntry]:
        return self._current().presets

    def find_preset(self, name: str) -> PresetEntry:
        """Raises UnknownPreset."""
        found = self.presets()
        if name not in found:
            known = ", ".join(sorted(found)) or "none is in the catalogue"
            raise UnknownPreset(f"there is no preset '{name}'", field="preset", remedy=f"use one of: {known}")
        return found[name]

    def find_adapter(self, name: str) -> FoundAdapter:
        """By id, or as the web UIs do by the file's name without its ending or by what it calls itself.

        Raises UnknownAdapter, WeightsMissing, InvalidRequest or NotBuiltYet.
        """
        adapter_id, entry = self._adapter_entry(name)
        file = locate_file(entry.source, entry_id=adapter_id, base=self.base, models_dir=self.models_dir)
        return FoundAdapter(adapter_id, entry, file)

    def adapter_entry(self, name: str) -> AdapterEntry | None:
        """By the names that `find_adapter` takes; None for an unknown one."""
        try:
            return self._adapter_entry(name)[1]
        except UnknownAdapter:
            return None

    def usable_adapter(self, name: str) -> AdapterEntry:
        """Like `find_adapter`, for a file that may have to be downloaded first; raises what that raises."""
        _, entry = self._adapter_entry(name)
        if not self.to_download(entry):
            self.find_adapter(name)
        return entry

    def _adapter_entry(self, name: str) -> tuple[str, AdapterEntry]:
        entries = self.adapters()
        named = (key for key, entry in entries.items() if _file_name(entry.source) == name)
        adapter_id = name if name in entries else next(named, None) or self._by_alias(name) or name
        if adapter_id not in entries:
            known = ", ".join(sorted(entries)) or "none yet; put .safetensors files under models/adapters"
            raise UnknownAdapter(f"there is no adapter '{adapter_id}'", remedy=f"use one of: {known}")
        return adapter_id, entries[adapter_id]

    def _by_alias(self, name: str) -> str | None:
        """Raises InvalidRequest where several files call themselves so."""
        found = [adapter_id for adapter_id in self.adapters() if self.adapter_alias(adapter_id) == name]
        if len(found) > 1:
            raise InvalidRequest(
                f"several adapters call themselves '{name}'", remedy=f"use one of: {', '.join(found)}"
            )
        return found[0] if found else None

    def adapter_alias(self, adapter_id: str) -> str | None:
        """What an adapter's file calls itself, if it is here and does."""
        source = self.adapters()[adapter_id].source
        try:
            file = locate_file(source, entry_id=adapter_id, base=self.base, models_dir=self.models_dir)
            return read_header(file).metadata.get(OUTPUT_NAME)
        except RequestError:
            return None

    def find(self, model_id: str) -> FoundModel:
        """The model with its files checked.

        Raises UnknownModel, WeightsMissing, WeightsInvalid or NotBuiltYet, each saying what to do.
        """
        entry = self._entry(model_id)
        files = ModelFiles(
            main=self._locate(model_id, entry.source),
            vae=self._locate(model_id, entry.vae) if entry.vae else None,
            base=self._locate(entry.base, self._entry(entry.base).source) if entry.base else None,
        )
        try:
            return FoundModel(model_id, entry, files, read_checkpoint(files))
        except WeightsMissing as error:
            remedy = f"run: ecurie pull {model_id}" if entry.source.startswith("hf:") else error.remedy
            raise WeightsMissing(str(error), remedy=remedy) from error

    def _entry(self, model_id: str) -> ModelEntry:
        entries = self.models()
        if model_id not in entries:
            known = ", ".join(sorted(entries))
            raise UnknownModel(f"there is no model '{model_id}'", remedy=f"use one of: {known}")
        return entries[model_id]

    def _locate(self, model_id: str, source: str) -> Path:
        return locate(source, model_id=model_id, base=self.base, models_dir=self.models_dir)

    def find_path(self, path: Path) -> FoundModel:
        """A model that is in no catalogue: a diffusers folder or a single file given on the command line."""
        path = path.expanduser().absolute()
        name = path.name if path.is_dir() else path.stem
        files = ModelFiles(path)
        return FoundModel(slug(name), ModelEntry(name=name, source=str(path)), files, read_checkpoint(files))

    def to_download(self, entry: Entry) -> tuple[RemoteSource, ...]:
        """What the first job that uses an entry gets; nothing where that is turned off."""
        if not self._download_on_use:
            return ()
        try:
            wanted = self.remote_sources(entry)
        except (InvalidRequest, UnknownModel):
            # Using the entry says what is wrong with its source.
            return ()
        return tuple(source for source in wanted if not is_here(source, self.models_dir))

    def remote_sources(self, entry: Entry) -> tuple[RemoteSource, ...]:
        """What of an entry is published elsewhere: its source; a model's VAE and its base's source; an
        IP-Adapter's image encoder.

        Raises InvalidRequest or UnknownModel.
        """
        texts: list[str | None] = [entry.source]
        if isinstance(entry, ModelEntry):
            texts += [entry.vae, self._entry(entry.base).source if entry.base else None]
        adapter = not isinstance(entry, ModelEntry)
        found = [remote_of(text, adapter=adapter) for text in texts if text]
        if isinstance(entry, IpAdapterEntry):
            found.append(remote_folder_of(entry.image_encoder))
        return tuple(source for source in found if source is not None)

    def adapter_availability(self, adapter_id: str) -> str | None:
        """None when the adapter can be used, else why not."""
        return self.why_not(lambda: self.find_adapter(adapter_id), self.adapters()[adapter_id])

    def availability(self, model_id: str) -> str | None:
        """None when the model can be used, else why not."""
        return self.why_not(lambda: self.find(model_id), self.models()[model_id])

    def why_not(self, find: Callable[[], object], entry: Entry) -> str | None:
        """None when an entry can be used, once it is downloaded or now; else what `find` says."""
        try:
            find()
        except RequestError as error:
            if isinstance(error, WeightsMissing) and self.to_download(entry):
                return None
            return error.whole
        return None


def _file_name(source: str) -> str:
    """Without folders and ending; `#` begins the hash of a web address."""
    return Path(source.partition("#")[0]).stem


def _free_id(wanted: str, taken: Container[str]) -> str:
    numbered = (f"{wanted}-{number}" for number in itertools.count(2))
    return wanted if wanted not in taken else next(name for name in numbered if name not in taken)


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-") or "model"
