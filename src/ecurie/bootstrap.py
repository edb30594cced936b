"""Where settings become objects, for the server, the worker and the command line."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ecurie.catalog.catalog import BUILTIN, Catalog, FoundModel
from ecurie.domain import PictureUse
from ecurie.errors import EcurieError, RequestError, SettingsError
from ecurie.formats.hashes import keep_hashes_in
from ecurie.images.storage import Storage, open_storage
from ecurie.images.uploads import Pictures, UploadLimits
from ecurie.imports import quick_imports
from ecurie.log_lines import Lines
from ecurie.machine import cuda_devices, free_ram, usable_cores
from ecurie.requests.pictures import PictureSource, picture_at, read_file
from ecurie.requests.references import FIELD as REFERENCES
from ecurie.settings import Settings
from ecurie.shares import Machine, share_out

if TYPE_CHECKING:
    from ecurie.access.keys import KeyStore
    from ecurie.catalog.downloads.downloader import Downloader
    from ecurie.engine.devices import Compute
    from ecurie.engine.engine import Engine
    from ecurie.engine.previews import Previews
    from ecurie.jobs.doorbell import Doorbell
    from ecurie.jobs.store import JobStore
    from ecurie.retention import Retention
    from ecurie.service import Service

RAM_SHARE, VRAM_SHARE = 0.8, 0.9


def configure_logging(level: str) -> None:
    """One line a record on standard error; prompts are never logged."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for talkative in ("alembic", "httpcore", "httpx", "urllib3", "PIL"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


def make_data_dir(settings: Settings) -> None:
    """Create the data folder, its folders, and the user's catalogue as a copy of the default one.

    Raises SettingsError when the folder cannot be written.
    """
    try:
        for folder in (settings.models_dir / "checkpoints", settings.workers_dir):
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
    keep_hashes_in(settings.hashes_file)
    return Catalog(
        file,
        settings.models_dir,
        download_on_use=settings.download == "auto",
        wildcards_dir=settings.data_dir / "wildcards",
    )


def make_downloader(settings: Settings) -> Downloader:
    """Addresses that the user set on purpose may be without TLS."""
    from huggingface_hub import constants

    from ecurie.catalog.downloads.downloader import Downloader, Publishers

    chosen = {urlsplit(url).netloc for url in (settings.civitai_url, constants.ENDPOINT)}
    token = settings.civitai_token
    publishers = Publishers(
        civitai=settings.civitai_url.rstrip("/"),
        civitai_token=None if token is None else token.get_secret_value(),
        plain_http=frozenset({*chosen, *settings.plain_http_hosts}),
    )
    return Downloader(settings.models_dir, publishers)


def make_store(settings: Settings) -> JobStore:
    """SQLAlchemy is imported here: `ecurie generate` needs no table."""
    from ecurie.jobs.store import JobStore

    make_data_dir(settings)
    return JobStore(settings.store_url)


@contextmanager
def open_keys(settings: Settings) -> Iterator[KeyStore]:
    """Those of the job database, also while a server uses it."""
    from ecurie.access.keys import KeyStore
    from ecurie.jobs.database import open_database

    make_data_dir(settings)
    database = open_database(settings.store_url)
    try:
        yield KeyStore(database)
    finally:
        database.dispose()


def any_key(settings: Settings) -> bool:
    """Whether somebody has an API key of the table."""
    with open_keys(settings) as keys:
        return keys.any_usable()


def make_doorbell(settings: Settings) -> Doorbell:
    """Celery is imported here, where there is a broker."""
    from ecurie.jobs.doorbell import NoBell

    if settings.broker_url is None:
        return NoBell()
    from ecurie.jobs.celery_bell import CeleryBell

    return CeleryBell(settings.broker_url.get_secret_value())


def make_service(settings: Settings, store: JobStore, doorbell: Doorbell) -> Service:
    """Raises SettingsError for a reference image that is none."""
    from ecurie.service import Limits, Service

    limits = Limits(settings.max_queue, settings.max_pixels, settings.keep_outputs_days)
    pictures, file = make_pictures(settings), settings.reference_image

    def reference() -> PictureUse:
        return pictures.add(read_file(str(file), REFERENCES), REFERENCES).use

    if file is not None:
        try:
            reference()
        except RequestError as error:
            raise SettingsError(f"--reference-image: {error}", remedy=error.remedy) from error
    default = None if file is None else reference
    outputs = make_outputs(settings)
    return Service(make_catalog(settings), store, doorbell, outputs, limits, pictures, default)


def make_retention(settings: Settings, service: Service) -> Retention:
    from ecurie.jobs.ended import EndedJobs
    from ecurie.retention import Keep, Retention

    keep = Keep(settings.keep_outputs_days, settings.keep_jobs_days, settings.keep_uploads_days)
    ended = EndedJobs(service.store.database)
    return Retention(ended, keep, service.outputs.remove, service.remove_old_pictures)


def upload_limits(settings: Settings) -> UploadLimits:
    return UploadLimits(settings.max_upload_bytes, settings.max_upload_pixels)


def make_outputs(settings: Settings) -> Storage:
    """Where finished images are. Raises SettingsError."""
    return open_storage(settings.outputs_place, settings.s3_endpoint_url)


def make_pictures(settings: Settings) -> Pictures:
    """Raises SettingsError."""
    uploads = open_storage(settings.uploads_place, settings.s3_endpoint_url)
    return Pictures(uploads, make_outputs(settings), upload_limits(settings))


def prepare_storage(settings: Settings) -> None:
    """See at the start that images and pictures can be kept. Raises SettingsError."""
    # Into outputs a worker may be writing now, of another machine or of a server that was killed; what lost
    # runs left there goes with them. With a broker, a server of another machine may do so into uploads.
    for place, alone in ((settings.outputs_place, False), (settings.uploads_place, not settings.broker_url)):
        try:
            open_storage(place, settings.s3_endpoint_url).prepare(alone=alone)
        except (OSError, EcurieError) as error:
            remedy = error.remedy if isinstance(error, EcurieError) else None
            raise SettingsError(f"images cannot be written to {place}: {error}", remedy=remedy) from error


def picture_files(settings: Settings) -> PictureSource:
    """Pictures named by their paths, as the command line does."""
    find, file = partial(picture_at, limits=upload_limits(settings)), settings.reference_image
    return PictureSource(find, None if file is None else partial(find, str(file), REFERENCES))


def make_engine(settings: Settings, *, previews: bool = False) -> Engine:
    """Loads torch, so it is called in the worker and by `ecurie generate` only. `previews`: somebody may see
    them.

    Raises SettingsError for a device or a preview decoder that cannot be used.
    """
    with quick_imports():
        from ecurie.engine.devices import choose_compute, free_vram, limit_threads
        from ecurie.engine.engine import Engine
        from ecurie.engine.residency import Budgets

    keep_hashes_in(settings.hashes_file)
    if settings.threads is not None:
        limit_threads(settings.threads)
    compute = choose_compute(settings.device)
    budgets = Budgets(
        ram=settings.ram_budget or int(free_ram() * RAM_SHARE),
        vram=settings.vram_budget or int(free_vram(compute.device) * VRAM_SHARE),
        models=settings.max_resident_models,
    )
    sketches = make_previews(settings, compute) if previews else None
    return Engine(compute, budgets, settings.verify_weights, sketches)


def make_previews(settings: Settings, compute: Compute) -> Previews:
    from ecurie.engine.previews import Previews
    from ecurie.engine.tiny_decoder import load_tiny_decoder

    place = settings.preview_decoder
    return Previews(None if place is None else load_tiny_decoder(place, compute))


def worker_environments(settings: Settings) -> list[dict[str, str]]:
    """Of each worker that `ecurie serve` starts: the settings, with its share of this machine. With a broker,
    `ecurie worker` starts them, here or elsewhere, unless a number is set.

    Raises SettingsError for more workers than CUDA devices.
    """
    elsewhere = settings.broker_url is not None and settings.workers == "auto"
    shares = share_out(
        0 if elsewhere else settings.workers,
        settings.device,
        settings.threads,
        Machine(cuda_devices, usable_cores, lambda: settings.ram_budget or int(free_ram() * RAM_SHARE)),
    )
    return [settings.as_environment() | share for share in shares]


def preloaded(settings: Settings, catalog: Catalog) -> list[FoundModel]:
    """The models that the settings want in memory from the start.

    Raises SettingsError for one that is unknown or whose files are not here.
    """
    try:
        return [catalog.find(model_id) for model_id in settings.preload]
    except RequestError as error:
        raise SettingsError(f"--preload: {error}", remedy=error.remedy) from error
