"""`ecurie worker`: one worker of a cluster, woken by Celery, until Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ecurie.cli import flags
from ecurie.errors import SettingsError


def worker(
    models: Annotated[
        list[str] | None, typer.Option(help="Serve these models only: ID[,ID]; may be repeated [all].")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="A name that no other worker has [host and a number].")
    ] = None,
    demo: flags.Demo = None,
    data_dir: flags.DataDir = None,
    catalog: flags.CatalogPath = None,
    device: flags.Device = None,
    settings_file: Annotated[Path | None, typer.Option(help="Settings file [ECURIE_SETTINGS_FILE].")] = None,
    preload: Annotated[
        list[str] | None, typer.Option(help="Models to load first: ID[,ID]; may be repeated.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    download: Annotated[str | None, typer.Option(help="auto or never: downloads on first use.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="text or json.")] = None,
) -> None:
    """Run jobs of a server elsewhere: ECURIE_BROKER_URL and ECURIE_DATABASE_URL say where.

    Other settings are taken from the environment or the settings file.
    """
    given = dict(locals())
    chosen, own_name = given.pop("models"), given.pop("name")
    from ecurie.settings import load_settings, split_names

    settings = load_settings(**given)
    if settings.broker_url is None:
        raise SettingsError(
            "a worker of its own needs the address of Celery's broker",
            remedy="set ECURIE_BROKER_URL as for the server; without one, the server starts workers itself",
        )
    settings.check_reach()
    try:
        from ecurie.worker.cluster import run_cluster_worker
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{error.name} is not installed", remedy="run: pip install 'ecurie[cluster]'"
        ) from error

    broker_url = settings.broker_url.get_secret_value()
    sys.exit(run_cluster_worker(settings, broker_url, own_name, split_names(chosen or [])))
