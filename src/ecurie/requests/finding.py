"""Files of a manifest, found here by their hashes: the entry of the same id first, then the others.

At submit nobody waits for gigabytes to be read: a large file whose hash is not known yet is believed to be
the one of its id and size. The worker hashes it, and the replay's report tells if it was another.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from ecurie.catalog import ip_adapters
from ecurie.catalog.catalog import Catalog, FoundAdapter, FoundModel, adapter_of_file
from ecurie.catalog.entries import AdapterEntry, IpAdapterEntry, ModelEntry
from ecurie.domain import AdapterUse, EmbeddingUse, IpAdapterUse, ModelFile, PictureUse
from ecurie.errors import RequestError, WeightsMissing
from ecurie.formats.checkpoint import Checkpoint
from ecurie.formats.hashes import known_files, known_sha256, sha256_of
from ecurie.formats.inventory import Inventory
from ecurie.formats.model_files import files_by_part
from ecurie.formats.peft_config import config_sha256_of
from ecurie.images.uploads import Pictures
from ecurie.requests.references import use_of

FindUsed = Callable[[PictureUse], PictureUse]
"""From a picture by its hash to the one that is here. Raises WeightsMissing."""

READ_AT_ONCE_BYTES = 500_000_000
BY_HASH = "https://civitai.com/api/v1/model-versions/by-hash/"


def find_model(
    model_id: str, files: Sequence[ModelFile], catalog: Catalog, *, anywhere: bool = False
) -> FoundModel:
    """A model with these very files; `anywhere`: also one that is in no catalogue, if it was used before.

    Raises WeightsMissing naming the first file that differs, by its hash.
    """
    for found in _models(model_id, files, catalog, anywhere):
        if _differing(found.checkpoint, files, believe=found.id == model_id) is None:
            return found
    raise _model_missing(model_id, files, catalog)


def _models(
    model_id: str, files: Sequence[ModelFile], catalog: Catalog, anywhere: bool
) -> Iterator[FoundModel]:
    """Those whose files are here, the one of this id first."""
    for candidate in (model_id, *(other for other in catalog.models() if other != model_id)):
        with suppress(RequestError):
            yield catalog.find(candidate)
    unets = (known_files(file.sha256) for file in files if anywhere and file.part == "unet")
    for file in itertools.chain.from_iterable(unets):
        # A single file, or a part of a folder.
        for place in (file, file.parent.parent):
            with suppress(RequestError):
                yield catalog.find_path(place)


def _differing(checkpoint: Checkpoint, files: Sequence[ModelFile], *, believe: bool) -> ModelFile | None:
    """The first of `files` that the checkpoint has not; `believe` takes unread large files for the same."""
    here = files_by_part(checkpoint)
    for wanted in files:
        same_part = (file for part, file in here if part == wanted.part)
        if not any(_is_file(file, wanted, believe=believe) for file in same_part):
            return wanted
    return None


def _is_file(file: Path, wanted: ModelFile, *, believe: bool) -> bool:
    if file.stat().st_size != wanted.bytes:
        return False
    known = known_sha256(file)
    if known is None and wanted.bytes > READ_AT_ONCE_BYTES:
        return believe
    return (known or sha256_of(file)) == wanted.sha256


def _model_missing(model_id: str, files: Sequence[ModelFile], catalog: Catalog) -> WeightsMissing:
    try:
        differing = _differing(catalog.find(model_id).checkpoint, files, believe=True) or files[0]
        instead = f"; the catalogue's '{model_id}' has another"
    except RequestError:
        differing, instead = files[0], ""
    message = (
        f"no model here has the {differing.part} file {differing.name} of '{model_id}' "
        f"with SHA-256 {differing.sha256}{instead}"
    )
    remedy = _where(differing.sha256, catalog.models().get(model_id), model_id)
    return WeightsMissing(message, field="request.model", remedy=remedy)


def find_adapter(use: AdapterUse, catalog: Catalog, *, anywhere: bool = False) -> FoundAdapter:
    """An adapter with this very file, `anywhere` as for models. Raises WeightsMissing naming its hash."""
    instead = ""
    for candidate in _adapters(use, catalog, anywhere):
        same_id = candidate.id == use.name
        if candidate.file.stat().st_size == use.bytes and _is_adapter(candidate.file, use):
            return candidate
        if same_id:
            instead = f"; the catalogue's '{use.name}' is another file"
    raise WeightsMissing(
        f"adapter '{use.name}' with SHA-256 {use.sha256} is not here{instead}",
        field=f"request.adapters.{use.name}",
        remedy=_where(use.sha256, catalog.adapter_entry(use.name), use.name),
    )


def _adapters(use: AdapterUse, catalog: Catalog, anywhere: bool) -> Iterator[FoundAdapter]:
    """Those whose files are here, the one of this name first."""
    for candidate in (use.name, *(other for other in catalog.adapters() if other != use.name)):
        with suppress(RequestError):
            yield catalog.find_adapter(candidate)
    yield from (adapter_of_file(file) for file in (known_files(use.sha256) if anywhere else []))


def _is_adapter(file: Path, use: AdapterUse) -> bool:
    return sha256_of(file) == use.sha256 and config_sha256_of(file) == use.config_sha256


def find_ip_adapter(use: IpAdapterUse, catalog: Catalog, inventory: Inventory) -> IpAdapterUse:
    """The IP-Adapter with this very file and image encoder. Raises WeightsMissing naming its hash."""
    for name in (use.name, *(other for other in catalog.ip_adapters() if other != use.name)):
        with suppress(RequestError):
            found = use_of(ip_adapters.find_ip_adapter(catalog, name, inventory))
            if (found.sha256, found.encoder_sha256) == (use.sha256, use.encoder_sha256):
                return found
    raise WeightsMissing(
        f"IP-Adapter '{use.name}' with SHA-256 {use.sha256}, image encoder {use.encoder_sha256}, is not here",
        field="request.ip_adapter",
        remedy=_where(use.sha256, catalog.ip_adapters().get(use.name), use.name),
    )


def find_embedding(use: EmbeddingUse, catalog: Catalog) -> Path:
    """An embedding with this very content, the one of this name first. Raises WeightsMissing."""
    files = catalog.embedding_files()
    for name in sorted(files, key=lambda name: name != use.name):
        if sha256_of(files[name]) == use.sha256:
            return files[name]
    instead = f"; '{use.name}' here is another file" if use.name in files else ""
    raise WeightsMissing(
        f"embedding '{use.name}' with SHA-256 {use.sha256} is not here{instead}",
        field=f"request.embeddings.{use.name}",
        remedy=f"put the file into models/embeddings; Civitai may know it: {BY_HASH}{use.sha256}",
    )


def find_picture(use: PictureUse, pictures: Pictures) -> PictureUse:
    """A picture that was sent: they are kept under their hashes. Raises WeightsMissing."""
    with suppress(RequestError):
        found = pictures.find(use.id).use
        if found.sha256 == use.sha256:
            return found
    raise WeightsMissing(
        f"the picture with SHA-256 {use.sha256} that was used is not here",
        field="request",
        remedy="send it to POST /images (on the command line: --picture FILE), then replay",
    )


def _where(sha256: str, entry: ModelEntry | AdapterEntry | IpAdapterEntry | None, entry_id: str) -> str:
    """What to do for a file that is not here; the path of a local source would help nobody."""
    elsewhere = f"put the file into the folder of models; Civitai may know it: {BY_HASH}{sha256}"
    if entry is None or ":" not in entry.source or entry.source.startswith("demo:"):
        return elsewhere
    return f"the catalogue names {entry.source} (ecurie pull {entry_id}); else {elsewhere}"
