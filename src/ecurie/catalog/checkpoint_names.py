"""Models as AUTOMATIC1111's clients name them: `ID.safetensors [hash]`, whatever their files are called.

An id names one model and stays; two entries may share a file, and folders have no file of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ecurie.catalog.catalog import Catalog, FoundModel
from ecurie.errors import InvalidRequest, RequestError, UnknownModel
from ecurie.formats.hashes import AUTO_V2_DIGITS, KEPT_FROM_BYTES, known_sha256, sha256_of
from ecurie.formats.model_files import files_by_part

ENDING = ".safetensors"
HASH = re.compile(r"^(.*?)\s*\[([0-9a-f]{6,64})\]$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CheckpointName:
    """`sha256` is that of the UNet's file, by which images name their model too; None while it is not known,
    which the first job changes. `filename` is without its folder."""

    id: str
    filename: str
    sha256: str | None

    @property
    def hash(self) -> str | None:
        return self.sha256 and self.sha256[:AUTO_V2_DIGITS]

    @property
    def title(self) -> str:
        return f"{self.id}{ENDING} [{self.hash}]" if self.hash else f"{self.id}{ENDING}"

    def has_file(self, name: str) -> bool:
        """`name` in lower case, with or without ending."""
        return name in (self.filename.casefold(), Path(self.filename).stem.casefold())

    def has_hash(self, wanted: str) -> bool:
        """The whole hash, or the digits that titles have."""
        return wanted in (self.sha256, self.hash)


def list_checkpoints(catalog: Catalog) -> list[CheckpointName]:
    """Those that a request may name now; the default one first."""
    default = catalog.default_model
    usable = [model_id for model_id in catalog.models() if catalog.availability(model_id) is None]
    return [checkpoint_name(model_id, catalog) for model_id in sorted(usable, key=lambda one: one != default)]


def checkpoint_name(model_id: str, catalog: Catalog) -> CheckpointName:
    """Also of a model that is gone or not here yet: then it is its id alone."""
    try:
        found = catalog.find(model_id)
    except RequestError:
        return CheckpointName(model_id, f"{model_id}{ENDING}", None)
    return CheckpointName(model_id, found.files.main.name, _quick_sha256(_unet_file(found)))


def find_checkpoint(name: str, catalog: Catalog) -> str:
    """The id of the model with this id, title, file name or hash, in any case; `[hash]` after a name is not
    compared. Raises UnknownModel, or InvalidRequest where several could be meant."""
    wanted = name.strip().casefold()
    split = HASH.match(wanted)
    plain, hash_of_title = (split[1], split[2]) if split else (wanted, wanted)
    ids = {model_id.casefold(): model_id for model_id in catalog.models()}
    for candidate in (wanted, plain.removesuffix(ENDING)):
        if candidate in ids:
            return ids[candidate]
    named = [checkpoint_name(model_id, catalog) for model_id in ids.values()]
    found = [one.id for one in named if one.has_file(plain)]
    found = found or [one.id for one in named if one.has_hash(hash_of_title)]
    if len(found) > 1:
        raise InvalidRequest(
            f"several models could be meant by '{name[:100]}'",
            field="sd_model_checkpoint",
            remedy=f"use one of: {', '.join(found)}",
        )
    if not found:
        known = ", ".join(one.title for one in list_checkpoints(catalog))
        raise UnknownModel(
            f"there is no model '{name[:100]}'", field="sd_model_checkpoint", remedy=f"use one of: {known}"
        )
    return found[0]


def _unet_file(found: FoundModel) -> Path:
    return next(file for part, file in files_by_part(found.checkpoint) if part == "unet")


def _quick_sha256(file: Path) -> str | None:
    """Of a large file only where it need not be read for that."""
    try:
        return sha256_of(file) if file.stat().st_size < KEPT_FROM_BYTES else known_sha256(file)
    except OSError:
        return None
