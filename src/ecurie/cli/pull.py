"""`ecurie pull`: get the files of catalogue models."""

from __future__ import annotations

from typing import Annotated

import typer

from ecurie.cli import flags


def pull(
    model_ids: Annotated[list[str], typer.Argument(help="Catalogue ids.")],
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
) -> None:
    """Download models that come from the Hugging Face Hub in diffusers format."""
    from ecurie.bootstrap import make_catalog
    from ecurie.catalog.downloads import pull_model
    from ecurie.settings import load_settings

    settings = load_settings(data_dir=data_dir, catalog=catalog)
    found = make_catalog(settings)
    for model_id in model_ids:
        folder = pull_model(found, model_id, settings.models_dir)
        print(f"{model_id}: {folder}")
