"""The pictures that a caller may use; tests/e2e/test_access.py asks for them over HTTP."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import LOCAL, Caller, PictureUse, Role
from ecurie.errors import UnknownPicture
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import DAY, Pictures
from ecurie.jobs.doorbell import NoBell
from ecurie.jobs.store import JobStore
from ecurie.service import Limits, Service
from tests.unit.api.serving import UPLOADS
from tests.unit.images.pictures import plain, saved

CONTENT = saved(plain(64, 64))
ANNA, BEN = (Caller(name, Role.USER) for name in ("anna", "ben"))


@pytest.fixture
def service(store: JobStore, tmp_path: Path) -> Service:
    uploads, outputs = LocalFolder(tmp_path / "uploads"), LocalFolder(tmp_path / "outputs")
    pictures = Pictures(uploads, outputs, UPLOADS)

    def reference() -> PictureUse:
        return pictures.add(CONTENT, "reference_image").use

    catalog, limits = Catalog(BUILTIN["demo"], tmp_path), Limits(max_queue=10, max_pixels=10**6)
    return Service(catalog, store, NoBell(), outputs, limits, pictures, reference)


def test_the_server_s_own_reference_is_everybody_s_who_used_it(service: Service) -> None:
    """So that a replay finds it."""
    default = service.picture_source(ANNA).default_reference
    assert default is not None
    use = default()
    assert service.pictures(ANNA).find(use.id).use == use
    with pytest.raises(UnknownPicture):
        service.pictures(BEN).find(use.id)
    assert service.pictures(LOCAL).find(use.id).use == use


def test_what_one_user_deletes_stays_for_others_also_for_who_needed_no_key(service: Service) -> None:
    picture = service.pictures(LOCAL).add(CONTENT, "file").use.id
    service.pictures(ANNA).add(CONTENT, "file")
    service.pictures(ANNA).remove(picture)
    with pytest.raises(UnknownPicture):
        service.pictures(ANNA).find(picture)
    assert service.pictures(LOCAL).find(picture)


def test_the_last_who_sent_it_deletes_the_file(service: Service, tmp_path: Path) -> None:
    for caller in (ANNA, BEN):
        picture = service.pictures(caller).add(CONTENT, "file").use.id
    for caller in (ANNA, BEN):
        assert os.listdir(tmp_path / "uploads") == [f"{picture}.png"]
        service.pictures(caller).remove(picture)
    assert os.listdir(tmp_path / "uploads") == []


def test_with_an_old_picture_its_owners_are_forgotten(service: Service, tmp_path: Path) -> None:
    upload = service.pictures(ANNA).add(CONTENT, "file")
    old = time.time() - 3 * DAY
    os.utime(tmp_path / "uploads" / upload.use.file, (old, old))
    service.remove_old_pictures(2)
    service.pictures(BEN).add(CONTENT, "file")
    with pytest.raises(UnknownPicture):
        service.pictures(ANNA).find(upload.use.id)
