"""`ecurie models`: what the catalogue offers, and whether it is here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from ecurie.cli import flags

if TYPE_CHECKING:
    from ecurie.catalog.catalog import Catalog
    from ecurie.catalog.entries import ModelEntry


def models(
    schedulers: Annotated[bool, typer.Option("--schedulers", help="List the schedulers instead.")] = False,
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    as_json: flags.AsJson = False,
) -> None:
    """List the models (or the schedulers) that a request may name."""
    from rich.console import Console
    from rich.table import Table

    from ecurie.bootstrap import make_catalog
    from ecurie.catalog.schedulers import SCHEDULERS
    from ecurie.settings import load_settings

    if schedulers:
        rows = [
            {"id": entry.id, "name": entry.label, "status": f"1-{entry.max_steps} steps"}
            for entry in SCHEDULERS
        ]
    else:
        found = make_catalog(load_settings(data_dir=data_dir, catalog=catalog, demo=demo))
        rows = [
            {"id": model_id, "name": entry.name, "status": status_of(found, model_id, entry)}
            for model_id, entry in found.models().items()
        ]
    if as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table("id", "name", "steps" if schedulers else "status")
    for row in rows:
        table.add_row(row["id"], row["name"], row["status"])
    Console().print(table)


def status_of(catalog: Catalog, model_id: str, entry: ModelEntry) -> str:
    """`ready`, or what is in the way and what to do."""
    reason = catalog.availability(model_id)
    if reason is None and catalog.to_download(entry):
        return f"not here: downloaded on first use, or now by: ecurie pull {model_id}"
    return reason or "ready"
