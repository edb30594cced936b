"""A request's reference pictures and the IP-Adapter that reads them: what a body asks for, settled."""

from __future__ import annotations

from dataclasses import dataclass

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.entries import IpAdapterEntry
from ecurie.catalog.ip_adapters import (
    FoundIpAdapter,
    default_ip_adapter,
    find_ip_adapter,
    ip_adapter_entry,
)
from ecurie.domain import IpAdapterUse, PictureUse
from ecurie.errors import InvalidRequest, RequestError
from ecurie.formats.hashes import sha256_of
from ecurie.formats.inventory import Inventory
from ecurie.requests.body import GenerateBody
from ecurie.requests.pictures import PictureSource

FIELD = "reference_images"
DEFAULT_STRENGTH = 0.6


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a body asks for: `strength` and `adapter` may be left open."""

    images: tuple[str, ...]
    strength: float | None
    adapter: str | None

    @property
    def in_use(self) -> bool:
        return bool(self.images) if self.strength is None else self.strength > 0

    def missing_entry(self, catalog: Catalog) -> IpAdapterEntry | None:
        """The entry whose files a request needs; None where it needs none. Raises UnknownAdapter."""
        if not self.in_use:
            return None
        return ip_adapter_entry(catalog, self.adapter or default_ip_adapter(catalog))


def wanted_of(body: GenerateBody) -> Wanted:
    return Wanted(tuple(body.reference_images), body.ip_strength, body.ip_adapter)


@dataclass(frozen=True, slots=True)
class Settled:
    """Nothing at all where the strength is 0: then a picture is the one that is made without references."""

    strength: float = 0.0
    adapter: IpAdapterUse | None = None
    references: tuple[PictureUse, ...] = ()


def settle_references(
    wanted: Wanted,
    catalog: Catalog,
    inventory: Inventory,
    pictures: PictureSource,
) -> Settled:
    """Find the pictures and the adapter, and check the adapter's files against the model.

    Raises InvalidRequest for a strength without pictures and for what is no picture, and what
    `find_ip_adapter` raises, with the field.
    """
    if not wanted.in_use:
        return Settled()
    references = _find_pictures(wanted, pictures)
    try:
        name = wanted.adapter or default_ip_adapter(catalog, inventory)
        adapter = use_of(find_ip_adapter(catalog, name, inventory))
    except RequestError as error:
        error.field = "ip_adapter" if wanted.adapter else "reference_images"
        raise
    return Settled(_strength_of(wanted), adapter, references)


def defer_references(wanted: Wanted, catalog: Catalog, pictures: PictureSource) -> Settled:
    """What can be told before the adapter's files are here: its place and hashes are empty.

    Raises InvalidRequest for the pictures, UnknownAdapter.
    """
    if not wanted.in_use:
        return Settled()
    name = wanted.adapter or default_ip_adapter(catalog)
    ip_adapter_entry(catalog, name)
    adapter = IpAdapterUse(name, file="", sha256="", encoder="", encoder_sha256="")
    return Settled(_strength_of(wanted), adapter, _find_pictures(wanted, pictures))


def _strength_of(wanted: Wanted) -> float:
    return DEFAULT_STRENGTH if wanted.strength is None else wanted.strength


def _find_pictures(wanted: Wanted, pictures: PictureSource) -> tuple[PictureUse, ...]:
    """Those that the body names, else the server's default one. Raises InvalidRequest."""
    if wanted.images:
        return tuple(pictures.find(text, FIELD) for text in wanted.images)
    if pictures.default_reference is None:
        raise InvalidRequest(
            "ip_strength is above 0, but there is no reference",
            field="ip_strength",
            remedy="send reference_images, or set ECURIE_REFERENCE_IMAGE for the server",
        )
    return (pictures.default_reference(),)


def use_of(found: FoundIpAdapter) -> IpAdapterUse:
    return IpAdapterUse(
        name=found.id,
        file=str(found.file.file),
        sha256=sha256_of(found.file.file),
        encoder=str(found.encoder.folder),
        encoder_sha256=sha256_of(found.encoder.weights),
    )
