"""How the page is served: to whom, under which policy, kept for how long."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ecurie.api.app import create_app
from ecurie.api.page import FOLDER, first_modules, web_files
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.store import JobStore
from tests.unit.api.serving import make_service

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    service = make_service(Catalog(BUILTIN["demo"], tmp_path / "models"), store, tmp_path)
    app = create_app(
        service,
        lambda: False,
        Forecasts(service.store.database, list, 60),
        allowed_hosts=(),
        allowed_origins=(),
        api_key="secret",
        max_body_bytes=20_000,
        max_upload_bytes=1000,
    )
    with TestClient(app, base_url="http://localhost:8009") as made:
        yield made
    store.close()


def test_browsers_get_the_page_and_clients_json(client: TestClient) -> None:
    page = client.get("/", headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for accept in ("*/*", "application/json"):
        assert client.get("/", headers={"accept": accept}).json()["name"] == "Écurie"


def test_its_policy_lets_nothing_in(client: TestClient) -> None:
    page = client.get("/", headers=BROWSER)
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert {policy[name] for name in ("base-uri", "form-action", "frame-ancestors")} == {"'none'"}
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<style|\sstyle=|\son\w+=|https?:", page.text)
    assert re.findall(r"<script(?![^>]* src=)", page.text) == []


def test_files_are_kept_for_ever_and_the_page_asked_for_again(client: TestClient) -> None:
    page = client.get("/", headers=BROWSER)
    named = re.findall(r'(?:src|href)="(/web/[^"]+)"', page.text)
    assert len(named) > 5
    for address in named:
        assert "immutable" in client.get(address).headers["cache-control"], address
    again = client.get("/", headers={**BROWSER, "if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    old = client.get("/web/0123456789ab/app.js")
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-store")


def test_files_are_packed_for_those_who_can_read_it(client: TestClient) -> None:
    plain = (FOLDER / "app.js").read_bytes()
    with client.stream("GET", "/web/x/app.js", headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(b"".join(answer.iter_raw())) == plain
    assert client.get("/web/x/app.js", headers={"accept-encoding": "identity"}).content == plain


@pytest.mark.parametrize(
    "name",
    [
        "none.js",
        "vendor/SHA256SUMS",
        "../api/page.py",
        "..%2fapi%2fpage.py",
        "%2e%2e/settings.py",
        "",
        "views",
    ],
)
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/web/x/{name}").status_code in (401, 404)
    assert name not in web_files()


def test_vendored_files_are_those_of_the_script() -> None:
    """`scripts/vendor_web.sh` wrote the sums."""
    lines = (FOLDER / "vendor" / "SHA256SUMS").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    files = [file for file in (FOLDER / "vendor").iterdir() if file.suffix in (".js", ".woff2")]
    assert sums == {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_the_browser_is_told_of_every_module_that_it_needs_first(client: TestClient) -> None:
    page = client.get("/", headers=BROWSER).text
    told = re.findall(r'<link rel="modulepreload" href="/web/\w+/([^"]+)">', page)
    assert told == first_modules()
    assert {"app.js", "parts/shell.js", "lib/api.js", "vendor/preact.js"} <= set(told)
    assert not [name for name in told if name.startswith("lang/") or name == "views/gallery.js"]
