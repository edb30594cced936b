"""Asking other machines for files: which addresses may be asked, redirects, and what their refusals mean.

Only https, but for the hosts that the settings name. A redirect may lead to another host, never to an address
inside a network; a token stays with the host that it is meant for.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from ecurie.catalog.downloads.patience import Passing
from ecurie.errors import DownloadFailed

MAX_REDIRECTS = 5
MAX_ANSWER_BYTES = 5_000_000
# A silent server also keeps a cancelled job waiting.
TIMEOUT = httpx2.Timeout(15.0)
REFUSED = {401: "wants a sign-in", 403: "refuses to give it", 404: "does not have it", 410: "has removed it"}


class Http:
    """`plain_http` are the hosts, as `name:port`, that may be asked without TLS; `count` is told the bytes of
    files that come."""

    def __init__(self, plain_http: Container[str] = (), count: Callable[[int], None] = lambda _bytes: None):
        self._plain_http, self.count = plain_http, count
        self._client = httpx2.Client(timeout=TIMEOUT, follow_redirects=False)

    def __enter__(self) -> Http:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @contextmanager
    def open(
        self, name: str, url: str, token: str | None, sign_in: str | None, headers: Mapping[str, str]
    ) -> Iterator[httpx2.Response]:
        """The answer to a GET, redirects followed, its body not read yet; status 200, 206 or 416.

        Raises Passing for what may be over soon, DownloadFailed for the rest.
        """
        try:
            response = self._follow(name, url, token, headers)
            try:
                _check(name, response, sign_in)
                yield response
            finally:
                response.close()
        except httpx2.RequestError as error:
            reason = str(error) or type(error).__name__
            raise Passing(f"{name}: the connection to {error.request.url.host} failed ({reason})") from error

    def json(self, name: str, url: str, token: str | None, sign_in: str) -> dict[str, Any]:
        """Raises Passing or DownloadFailed."""
        body = b""
        with self.open(name, url, token, sign_in, {}) as response:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    break
        try:
            content = json.loads(body)
        except ValueError as error:
            raise DownloadFailed(f"{_host(url)} answers something that is no JSON about {name}") from error
        if not isinstance(content, dict):
            raise DownloadFailed(f"{_host(url)} answers something unexpected about {name}")
        return content

    def _follow(self, name: str, url: str, token: str | None, headers: Mapping[str, str]) -> httpx2.Response:
        here = _joined(name, url, "")
        for _ in range(MAX_REDIRECTS + 1):
            self._check_address(name, here, _host(url))
            # Bytes are counted and hashed as they come: nothing may be packed on the way.
            sent = {"Accept-Encoding": "identity", **headers}
            if token and _origin(here) == _origin(url):
                sent["Authorization"] = f"Bearer {token}"
            response = self._client.send(self._client.build_request("GET", here, headers=sent), stream=True)
            if not response.has_redirect_location:
                return response
            response.close()
            here = _joined(name, here, response.headers["Location"])
        raise DownloadFailed(f"{name}: {_host(url)} redirects more than {MAX_REDIRECTS} times")

    def _check_address(self, name: str, url: str, asked: str) -> None:
        parts = urlsplit(url)
        if f"{parts.hostname}:{parts.port or 80}" in self._plain_http and parts.scheme == "http":
            return
        if parts.scheme != "https":
            raise DownloadFailed(
                f"{name} would come from {url.partition('?')[0]}, which is not https",
                remedy="use an https address, or name the host in the setting plain_http_hosts",
            )
        if parts.netloc != asked and _inside(parts.hostname or ""):
            raise DownloadFailed(f"{name}: redirected to {parts.hostname}, an address inside a network")


def _inside(host: str) -> bool:
    """By the address as it is written: `127.1` and `2130706433` too. Names are not looked up, since some
    proxies answer every name with an address of their own."""
    host = host.rstrip(".")
    for read in (ipaddress.ip_address, lambda text: ipaddress.ip_address(socket.inet_aton(text))):
        try:
            return not read(host).is_global
        except (ValueError, OSError):
            continue
    return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))


def _joined(name: str, url: str, location: str) -> str:
    """Raises DownloadFailed for an address that no client can ask."""
    try:
        joined = urljoin(url, location)
        httpx2.URL(joined)
        # Raises for a port that is none.
        _ = urlsplit(joined).port
        return joined
    except (httpx2.InvalidURL, ValueError) as error:
        raise DownloadFailed(f"{name}: an address on the way cannot be read ({error})") from error


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _check(name: str, response: httpx2.Response, sign_in: str | None) -> None:
    host, status = response.url.host, response.status_code
    if status in (408, 425, 429) or status >= 500:
        what = "asks to slow down" if status == 429 else f"answers {status}"
        raise Passing(f"{name}: {host} {what}", _retry_after(response))
    if status not in (200, 206, 416):
        remedy = sign_in if status in (401, 403) else "check the source in the catalogue"
        raise DownloadFailed(f"{name}: {host} {REFUSED.get(status, 'answers')} ({status})", remedy=remedy)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise DownloadFailed(f"{name}: {host} answers with a web page instead of the file", remedy=sign_in)


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds; the other form, a date, is treated as not given."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdecimal() else None
