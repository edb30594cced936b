"""Where settings become objects, for the server, the worker and the command line."""

from __future__ import annotations

import logging
import shutil
import sys
from typing import TYPE_CHECKING

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.errors import SettingsError
from ecurie.jobs.store import JobStore
from ecurie.service import Limits, Service
from ecurie.settings import Settings

if TYPE_CHECKING:
    from ecurie.engine.engine import Engine


def configure_logging(level: str) -> None:
    """One line a record on standard error; prompts are never logged."""
    logging.basicConfig(
        level=level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        force=True,
    )
    for talkative in ("alembic", "httpcore", "httpx", "urllib3", "PIL"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


def make_data_dir(settings: Settings) -> None:
    """Create the data folder, its folders, and the user's catalogue as a copy of the default one.

    Raises SettingsError when the folder cannot be written.
    """
    try:
        for folder in (settings.outputs_dir, settings.models_dir / "checkpoints", settings.workers_dir):
            folder.mkdir(parents=True, exist_ok=True)
        if not settings.demo and settings.catalog is None and not settings.catalog_file.exists():
            shutil.copyfile(BUILTIN["default"], settings.catalog_file)
    except OSError as error:
        raise SettingsError(
            f"the data folder {settings.data_dir} cannot be used: {error.strerror}",
            remedy="choose another with --data-dir or ECURIE_DATA_DIR",
        ) from error


def make_catalog(settings: Settings) -> Catalog:
    """The file that the settings name, the user's own, or a bundled one; writes nothing.

    Raises CatalogError or SettingsError.
    """
    if settings.catalog is not None and not settings.catalog.exists():
        raise SettingsError(f"the catalogue {settings.catalog} does not exist")
    if settings.catalog is not None:
        file = settings.catalog
    elif settings.demo:
        file = BUILTIN["demo"]
    else:
        file = settings.catalog_file if settings.catalog_file.exists() else BUILTIN["default"]
    return Catalog(file, settings.models_dir)


def make_store(settings: Settings) -> JobStore:
    make_data_dir(settings)
    return JobStore(settings.database_url)


def make_service(settings: Settings, store: JobStore) -> Service:
    limits = Limits(max_queue=settings.max_queue, max_pixels=settings.max_pixels)
    return Service(make_catalog(settings), store, settings.outputs_dir, limits)


def make_engine(settings: Settings) -> Engine:
    """Loads torch, so it is called in the worker and by `ecurie generate` only."""
    from ecurie.engine.devices import choose_compute, limit_threads
    from ecurie.engine.engine import Engine

    if settings.threads is not None:
        limit_threads(settings.threads)
    return Engine(choose_compute(settings.device), settings.max_resident_models)
