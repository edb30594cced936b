"""`ecurie pull`: get the files of catalogue entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags
from ecurie.errors import NotBuiltYet, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ecurie.catalog.catalog import Catalog, Entry


def pull(
    ids: Annotated[list[str], typer.Argument(help="Catalogue ids of models and adapters.")],
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
) -> None:
    """Download what the catalogue names, from the Hugging Face Hub, Civitai or an address with a hash."""
    from ecurie.bootstrap import make_catalog, make_downloader
    from ecurie.cli.downloading import download_bar
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog)
    found, downloader = make_catalog(settings), make_downloader(settings)
    # All ids are looked up before the first download.
    wanted = {entry_id: _entry(found, entry_id) for entry_id in ids}
    for entry_id, entry in wanted.items():
        with download_bar(entry_id) as listen:
            downloader.fetch(found.remote_sources(entry), listen)
        print(f"{entry_id}: {_place(found, entry_id)}")


def _entry(catalog: Catalog, entry_id: str) -> Entry:
    """Raises UnknownModel."""
    sections: list[Mapping[str, Entry]] = [catalog.models(), catalog.adapters(), catalog.ip_adapters()]
    entry = next((section[entry_id] for section in sections if entry_id in section), None)
    if entry is None:
        known = ", ".join(sorted({name for section in sections for name in section}))
        raise UnknownModel(f"there is no model or adapter '{entry_id}'", remedy=f"use one of: {known}")
    return entry


def _place(catalog: Catalog, entry_id: str) -> str:
    """Where the files are. Raises what `find` raises for files that are not what they should be."""
    if entry_id not in catalog.models() and entry_id not in catalog.adapters():
        from ecurie.catalog.ip_adapters import places_of

        return str(places_of(catalog, entry_id, catalog.ip_adapters()[entry_id])[0])
    if entry_id not in catalog.models():
        return str(catalog.find_adapter(entry_id).file)
    try:
        return str(catalog.find(entry_id).files.main)
    except NotBuiltYet as error:
        return f"downloaded, but {error}"
