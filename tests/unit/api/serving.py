"""A service in a folder of the test's own, and its HTTP interface."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from ecurie.api.app import create_app
from ecurie.catalog.catalog import Catalog
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import Pictures, UploadLimits
from ecurie.jobs.doorbell import NoBell
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.store import JobStore
from ecurie.service import Limits, Service

UPLOADS = UploadLimits(bytes=100_000, pixels=1_000_000)


def make_service(catalog: Catalog, store: JobStore, folder: Path, *, max_queue: int = 10) -> Service:
    outputs = folder / "outputs"
    pictures = Pictures(LocalFolder(folder / "uploads"), LocalFolder(outputs), UPLOADS)
    limits = Limits(max_queue=max_queue, max_pixels=10**9)
    return Service(catalog, store, NoBell(), LocalFolder(outputs), limits, pictures)


def make_client(service: Service, *, address: str = "192.0.2.1", **options: Any) -> TestClient:
    """What is asked through it comes from `address`; other options are those of `create_app`."""
    app = make_app(service, **{"max_body_bytes": 20_000, **options})
    return TestClient(
        app, base_url="http://localhost:8009", raise_server_exceptions=False, client=(address, 50_000)
    )


def make_app(service: Service, stopping: Callable[[], bool] = lambda: False, **settings: Any) -> FastAPI:
    given = {
        "allowed_hosts": (),
        "allowed_origins": (),
        "api_key": None,
        "max_body_bytes": 1_000_000,
        "max_upload_bytes": UPLOADS.bytes,
    }
    forecasts = Forecasts(service.store.database, list, 60)
    return create_app(service, stopping, forecasts, **(given | settings))
