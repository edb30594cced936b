"""`ecurie add`: a model or adapter becomes an entry of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags
from ecurie.errors import InvalidRequest, SettingsError

if TYPE_CHECKING:
    from ecurie.catalog.adding import NewEntry
    from ecurie.catalog.catalog import Catalog
    from ecurie.settings import Settings


def add(
    source: Annotated[
        str,
        typer.Argument(help="hf:OWNER/REPO[/FILE], civitai:VERSION, https://…#sha256=…, a file or folder."),
    ],
    entry_id: Annotated[str | None, typer.Option("--id", help="Its id [made from its name].")] = None,
    name: Annotated[str | None, typer.Option(help="Its name [what its file or page says].")] = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
) -> None:
    """Download a model or adapter if need be, tell what it is, and write its catalogue entry."""
    from ecurie.bootstrap import make_catalog, make_data_dir
    from ecurie.catalog.yaml_edit import add_entry, entry_text
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog)
    if settings.demo:
        raise SettingsError("the bundled demo catalogue cannot be changed", remedy="unset ECURIE_DEMO")
    make_data_dir(settings)
    found = make_catalog(settings)
    if entry_id is not None:
        _free_id(entry_id, found)
    entry = _look(source, found, settings)
    if name is not None:
        entry = replace(entry, fields={**entry.fields, "name": name})
    entry = replace(entry, id=_free_id(entry_id or entry.id, found))
    add_entry(settings.catalog_file, entry.sections, entry.id, entry.fields)
    print(f"{entry.id}: {entry.what}", *entry.notes, sep="\n  ")
    print(f"written to {settings.catalog_file}:\n{entry_text(entry.id, entry.fields)}")


def _look(source: str, catalog: Catalog, settings: Settings) -> NewEntry:
    """Raises InvalidRequest for what cannot be used, or is in the catalogue already."""
    from ecurie.bootstrap import make_downloader
    from ecurie.catalog.adding import describe, local_source, source_of_page
    from ecurie.catalog.sources import remote_of
    from ecurie.cli.downloading import download_bar

    remote = remote_of(source_of_page(source))
    if remote is None:
        place = Path(source).expanduser().absolute()
        return describe(place, _new(local_source(place, catalog.base), catalog), None)
    downloader = make_downloader(settings)
    plan = downloader.plan(remote, pin=True)
    _new(plan.source, catalog)
    with download_bar(plan.name or "downloading") as listen:
        downloader.fetch_plan(plan, listen)
    return describe(plan.place, plan.source, plan)


def _new(source: str, catalog: Catalog) -> str:
    """The source. Raises InvalidRequest for one that an entry has."""
    sources = {entry.source: entry_id for entry_id, entry in catalog.models().items()}
    sources |= {entry.source: entry_id for entry_id, entry in catalog.adapters().items()}
    if source in sources:
        raise InvalidRequest(f"{source} is in the catalogue already, as '{sources[source]}'")
    return source


def _free_id(entry_id: str, catalog: Catalog) -> str:
    if entry_id in {*catalog.models(), *catalog.adapters()}:
        raise InvalidRequest(
            f"the catalogue has an entry '{entry_id}' already", remedy="choose another by --id"
        )
    return entry_id
