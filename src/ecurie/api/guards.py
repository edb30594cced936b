"""What every request must pass before a route sees it: Host, Origin, API key, body.

A server on loopback can be reached by any web page that its user visits (CSRF, DNS rebinding), so the Host
must be one of ours and an Origin, when a browser sends one, too.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ecurie.api.admission import OPEN_PATHS, PAGE_FILES, Admission, Admitted
from ecurie.api.bodies import read_body
from ecurie.api.errors import answer_to
from ecurie.domain import NOBODY
from ecurie.errors import EcurieError, Forbidden

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
FORM = "application/x-www-form-urlencoded"
PICTURE_PATHS = frozenset(
    {"/generate", "/images", "/prompt/preview", "/read-image", "/replay", "/sweeps"}
    | {f"/v1/images/{name}" for name in ("edits", "generations", "variations")}
    | {f"/sdapi/v1/{name}" for name in ("img2img", "png-info", "interrogate")}
    | {f"/sdapi/v1/extra-{name}" for name in ("single-image", "batch-images")}
)
"""Whose bodies may hold pictures: two of the largest (a picture and its mask), in base64."""
PICTURES_IN_BASE64 = 2 * 4 / 3


class Guard:
    """ASGI middleware; answers with a problem document what it does not let through."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Iterable[str],
        allowed_origins: Iterable[str],
        admission: Admission,
        max_body_bytes: int,
        max_upload_bytes: int,
        receive_seconds: float,
    ):
        self._app, self._receive_seconds = app, receive_seconds
        self._hosts = LOOPBACK_HOSTS | {host.casefold() for host in allowed_hosts}
        self._origins = frozenset(allowed_origins)
        self._admission, self._max_body = admission, max_body_bytes
        self._max_with_pictures = max_body_bytes + int(PICTURES_IN_BASE64 * max_upload_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            self._check_origin(headers)
            admitted = Admitted(NOBODY, keyed=True)
            if scope["path"] not in OPEN_PATHS and not scope["path"].startswith(PAGE_FILES):
                admitted = await self._admission.admit(scope, headers)
            most = self._max_with_pictures if scope["path"] in PICTURE_PATHS else self._max_body
            receive = await read_body(receive, headers, most, self._receive_seconds)
        except EcurieError as error:
            answer = answer_to(error, scope["path"])
            # The rest of a body that nobody reads must not keep the connection.
            answer.headers["Connection"] = "close"
            await answer(scope, receive, _with_safe_headers(send))
            return
        scope.setdefault("state", {})["admitted"] = admitted
        self._accept_plain_curl(scope, headers)
        await self._app(scope, receive, _with_safe_headers(send))

    def _check_host(self, headers: Headers) -> None:
        host = _host_name(headers.get("host", ""))
        if host not in self._hosts:
            raise Forbidden(
                f"host {host[:100]!r} is not served here",
                remedy="use localhost, or add the name to ECURIE_ALLOWED_HOSTS",
            )

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("origin")
        if origin is None or origin in self._origins:
            return
        if origin in (f"{scheme}://{headers.get('host')}" for scheme in ("http", "https")):
            return
        raise Forbidden(
            f"web origin {origin[:100]!r} may not use this server",
            remedy="add it to ECURIE_ALLOWED_ORIGINS if it is yours",
        )

    def _accept_plain_curl(self, scope: Scope, headers: Headers) -> None:
        """`curl -d '{…}'` says it sends a form. No browser can send this without an Origin header."""
        browser = "origin" in headers or "sec-fetch-site" in headers
        if not browser and headers.get("content-type", "").split(";")[0] == FORM:
            MutableHeaders(scope=scope)["content-type"] = "application/json"


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _with_safe_headers(send: Send) -> Send:
    async def safe(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("referrer-policy", "no-referrer")
        await send(message)

    return safe
