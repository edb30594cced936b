"""`ecurie pull`: get the files of catalogue models."""

from __future__ import annotations

from typing import Annotated

import typer

from ecurie.cli import flags


def pull(
    ids: Annotated[list[str], typer.Argument(help="Catalogue ids of models and adapters.")],
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
) -> None:
    """Download models in diffusers format, and adapters, from the Hugging Face Hub."""
    from ecurie.bootstrap import make_catalog
    from ecurie.catalog.downloads import pull_adapter, pull_model
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog)
    found = make_catalog(settings)
    for entry_id in ids:
        pull_one = pull_adapter if entry_id in found.adapters() else pull_model
        print(f"{entry_id}: {pull_one(found, entry_id, settings.models_dir)}")
