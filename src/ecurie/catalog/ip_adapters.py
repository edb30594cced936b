"""The catalogue's IP-Adapters, as requests name them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.entries import IpAdapterEntry
from ecurie.catalog.sources import locate_file, locate_folder
from ecurie.errors import RequestError, UnknownAdapter
from ecurie.formats.image_encoder import ImageEncoder, read_image_encoder, refuse_other_encoder
from ecurie.formats.inventory import Inventory
from ecurie.formats.ip_adapter_file import IpAdapterFile, read_ip_adapter


@dataclass(frozen=True, slots=True)
class FoundIpAdapter:
    """An IP-Adapter whose files are here and fit a model."""

    id: str
    file: IpAdapterFile
    encoder: ImageEncoder


def ip_adapter_entry(catalog: Catalog, name: str) -> IpAdapterEntry:
    """Raises UnknownAdapter."""
    entries = catalog.ip_adapters()
    if name not in entries:
        known = ", ".join(sorted(entries)) or "none: the catalogue has no ip_adapters"
        raise UnknownAdapter(f"there is no IP-Adapter '{name}'", remedy=f"use one of: {known}")
    return entries[name]


def find_ip_adapter(catalog: Catalog, name: str, inventory: Inventory) -> FoundIpAdapter:
    """By id, checked against a model and its own image encoder.

    Raises UnknownAdapter, WeightsMissing, InvalidRequest, WeightsInvalid, AdapterInvalid or AdapterMismatch.
    """
    entry = ip_adapter_entry(catalog, name)
    file, folder = places_of(catalog, name, entry)
    found = read_ip_adapter(file, inventory)
    encoder = read_image_encoder(folder)
    refuse_other_encoder(found, encoder)
    return FoundIpAdapter(name, found, encoder)


def places_of(catalog: Catalog, name: str, entry: IpAdapterEntry) -> tuple[Path, Path]:
    """The file and the image encoder's folder. Raises WeightsMissing or InvalidRequest."""
    base, models_dir = catalog.base, catalog.models_dir
    file = locate_file(entry.source, entry_id=name, base=base, models_dir=models_dir)
    what = f"the image encoder of '{name}'"
    folder = locate_folder(entry.image_encoder, what=what, entry_id=name, base=base, models_dir=models_dir)
    return file, folder


def default_ip_adapter(catalog: Catalog, inventory: Inventory | None = None) -> str:
    """The first that is here and fits the model; else the first that can be downloaded. Without an inventory,
    of a model that is not here yet, nobody can say whether it fits.

    Raises UnknownAdapter where there is none at all, or what is wrong with the first.
    """
    entries = catalog.ip_adapters()
    if not entries:
        raise UnknownAdapter(
            "the catalogue has no IP-Adapter", remedy="add one under ip_adapters; docs/catalogue.md shows how"
        )
    reasons: list[RequestError] = []
    for name, entry in entries.items():
        try:
            if inventory is None:
                places_of(catalog, name, entry)
            else:
                find_ip_adapter(catalog, name, inventory)
        except RequestError as error:
            reasons.append(error)
        else:
            return name
    for name, entry in entries.items():
        if catalog.to_download(entry):
            return name
    raise reasons[0]


def ip_adapter_availability(catalog: Catalog, name: str) -> str | None:
    """None when its files are here or will be downloaded, else why not; whether it fits is the model's
    affair."""
    entry = ip_adapter_entry(catalog, name)
    return catalog.why_not(lambda: places_of(catalog, name, entry), entry)
