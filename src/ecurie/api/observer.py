"""Looks at every request from outside all else: for figures, the access log, and what traces it."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ecurie.api.request_figures import RequestFigures
from ecurie.spans import Tracer, traced_by

log = logging.getLogger(__name__)
NO_ROUTE = "none"
EVENTS = b"text/event-stream"


class Observer:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, *, figures: RequestFigures, access_log: bool, tracing: Tracer | None):
        self._app, self._figures, self._tracing = app, figures, tracing
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = _Seen()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.begin(message)
                if seen.events:
                    self._figures.listeners.inc()
            await send(message)

        try:
            with traced_by(self._tracing):
                await self._app(scope, receive, sending)
        finally:
            if seen.events:
                self._figures.listeners.dec()
            self._tell(scope, seen)

    def _tell(self, scope: Scope, seen: _Seen) -> None:
        method, route = scope["method"], route_of(scope)
        self._figures.count(method, route, seen.status, seen.seconds)
        if self._access_log:
            log.info("%s %s: %d in %.3f s", method, route, seen.status, seen.seconds)


class _Seen:
    """Of one request."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        # A client that leaves before its answer gets none.
        self.status, self.events, self._answered = 499, False, 0.0

    def begin(self, message: Message) -> None:
        self._answered = time.perf_counter()
        self.status = message["status"]
        self.events = dict(message["headers"]).get(b"content-type", b"").startswith(EVENTS)

    @property
    def seconds(self) -> float:
        return (self._answered or time.perf_counter()) - self._began


def route_of(scope: Scope) -> str:
    """Of a request that was answered, as the code writes it (`/jobs/{job_id}`)."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) and path else NO_ROUTE
