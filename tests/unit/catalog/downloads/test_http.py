"""Which addresses are asked, and who gets a token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ecurie.catalog.downloads.http import Http
from ecurie.errors import DownloadFailed
from tests.web import Web, running


@pytest.fixture
def other() -> Iterator[Web]:
    with running(Web()) as other:
        other.files["/file"] = b"from elsewhere"
        yield other


def read(http: Http, url: str, token: str | None = None) -> bytes:
    with http.open("the file", url, token, "sign in", {}) as response:
        return b"".join(response.iter_raw())


def test_a_redirect_to_another_host_is_followed_without_the_token(web: Web, other: Web) -> None:
    web.faults.append(f"to {other.url}/file")
    with Http({web.host, other.host}) as http:
        assert read(http, f"{web.url}/file", "secret") == b"from elsewhere"
    assert [asked.authorization for asked in web.asked] == ["Bearer secret"]
    assert [asked.authorization for asked in other.asked] == [None]


def test_a_redirect_on_the_same_host_keeps_the_token(web: Web) -> None:
    web.files["/file"] = b"here"
    web.faults.append("to /file")
    with Http({web.host}) as http:
        assert read(http, f"{web.url}/old", "secret") == b"here"
    assert [asked.authorization for asked in web.asked] == ["Bearer secret", "Bearer secret"]


def test_redirects_in_a_circle_end(web: Web) -> None:
    web.faults.extend(["to /again"] * 10)
    with Http({web.host}) as http, pytest.raises(DownloadFailed, match="more than 5 times"):
        read(http, f"{web.url}/again")


def test_plain_http_is_refused_unless_the_host_is_named(web: Web, other: Web) -> None:
    with Http() as http, pytest.raises(DownloadFailed, match="not https") as caught:
        read(http, f"{web.url}/file?token=secret")
    assert "plain_http_hosts" in (caught.value.remedy or "")
    assert "secret" not in str(caught.value)
    web.faults.append(f"to {other.url}/file")
    with Http({web.host}) as http, pytest.raises(DownloadFailed, match="not https"):
        read(http, f"{web.url}/file")
    assert other.asked == []


@pytest.mark.parametrize(
    "inside",
    "127.0.0.1 10.0.0.5 192.168.1.1 169.254.169.254 [::1] localhost localhost. box.local 0.0.0.0 127.1 "
    "2130706433 0x7f.1 [::ffff:127.0.0.1]".split(),
)
def test_a_redirect_into_a_network_is_refused(web: Web, inside: str) -> None:
    web.faults.append(f"to https://{inside}/latest/meta-data")
    with Http({web.host}) as http, pytest.raises(DownloadFailed, match="inside a network"):
        read(http, f"{web.url}/file")


@pytest.mark.parametrize(
    "address", ["https://[::1", "https://a:b:c/", "https://a:99999999/", "https://\u2100.c/"]
)
def test_an_address_that_cannot_be_read_is_said(web: Web, address: str) -> None:
    web.faults.append(f"to {address.encode().decode('latin-1')}")
    with Http({web.host}) as http, pytest.raises(DownloadFailed):
        read(http, f"{web.url}/file")


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "ftp://example.org/file", "gopher://example.org"])
def test_other_schemes_are_refused(web: Web, scheme: str) -> None:
    web.faults.append(f"to {scheme}")
    with Http({web.host}) as http, pytest.raises(DownloadFailed, match="not https"):
        read(http, f"{web.url}/file")


@pytest.mark.parametrize("body", [b"[1, 2]", b"no json", b"x" * 6_000_000])
def test_an_answer_that_is_no_json_object_is_refused(web: Web, body: bytes) -> None:
    web.files["/api"] = body
    with Http({web.host}) as http, pytest.raises(DownloadFailed, match="about the file"):
        http.json("the file", f"{web.url}/api", None, "sign in")
