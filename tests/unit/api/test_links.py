"""Addresses of images: plain where no key is needed, signed where one is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from ecurie.access.keys import KeyStore
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import ImageFile, Role
from ecurie.jobs.store import JobStore
from ecurie.service import Service
from tests.unit.api.serving import make_client, make_service
from tests.unit.images.pictures import plain, saved
from tests.unit.jobs.test_store import REQUEST, RESULT, claim

NAME = "sdxl-base_20261126_120000_0123abcd.png"
CONTENT = saved(plain(64, 64))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / NAME).write_bytes(CONTENT)
    yield make_service(Catalog(BUILTIN["demo"], tmp_path), store, tmp_path)
    store.close()


def ended(service: Service, owner: str) -> str:
    """The id of a job that made the image."""
    job_id = service.store.add(REQUEST, priority=0, stack="", max_queue=10, owner=owner).id
    image = ImageFile(NAME, 7, 64, 64)
    service.store.claims.succeed(claim(service.store), dataclasses.replace(RESULT, images=(image,)))
    return job_id


def test_without_keys_addresses_are_plain(service: Service) -> None:
    served = make_client(service)
    (image,) = served.get(f"/jobs/{ended(service, '')}").json()["result"]["images"]
    assert image["url"] == f"/outputs/{NAME}"
    assert served.get(image["url"]).content == CONTENT


def test_a_link_holds_for_every_process_of_the_database(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a restart keeps it, too. When it has expired, a key still reads the image."""
    key = KeyStore(service.store.database).create("anna", Role.USER)
    job_id, header = ended(service, key.key.id), {"authorization": f"Bearer {key.secret}"}
    one, another = (make_client(service, image_link_seconds=seconds) for seconds in (100, 1000))
    (image,) = one.get(f"/jobs/{job_id}", headers=header).json()["result"]["images"]
    assert another.get(image["url"]).content == CONTENT
    assert another.get(image["url"], headers={"authorization": "Basic Og=="}).content == CONTENT
    expires = int(parse_qs(urlsplit(image["url"]).query)["expires"][0])
    monkeypatch.setattr(time, "time", lambda: expires + 0.5)
    refused = another.get(image["url"])
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert another.get(image["url"], headers=header).content == CONTENT
    wrong = another.get(image["url"], headers={"authorization": "Bearer wrong"})
    assert wrong.status_code == 401


@pytest.mark.parametrize("path", ["/outputs/..%2fjobs.db", "/outputs/x%00.png", "/outputs//jobs.db"])
def test_a_link_leads_to_images_alone(service: Service, path: str) -> None:
    served = make_client(service, api_key="mine")
    name = path.removeprefix("/outputs/").replace("%2f", "/").replace("%00", "\0")
    signed = f"{path}?{served.app.state.signer.query(name)}"  # type: ignore[attr-defined]
    assert served.get(signed).status_code == 404
