"""A service in a folder of the test's own."""

from __future__ import annotations

from pathlib import Path

from ecurie.catalog.catalog import Catalog
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import Pictures, UploadLimits
from ecurie.jobs.doorbell import NoBell
from ecurie.jobs.store import JobStore
from ecurie.service import Limits, Service

UPLOADS = UploadLimits(bytes=100_000, pixels=1_000_000)


def make_service(catalog: Catalog, store: JobStore, folder: Path) -> Service:
    outputs = folder / "outputs"
    pictures = Pictures(LocalFolder(folder / "uploads"), LocalFolder(outputs), UPLOADS)
    limits = Limits(max_queue=10, max_pixels=10**9)
    return Service(catalog, store, NoBell(), LocalFolder(outputs), limits, pictures)
