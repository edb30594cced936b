"""How a server is reached: what the synchronous and the asynchronous link have in common."""

from __future__ import annotations

import os
from typing import Any

import httpx2

from ecurie.client.errors import Unreachable
from ecurie.client.following import SILENCE_SECONDS
from ecurie.client.plans import Ask

DEFAULT_URL, DEFAULT_TIMEOUT = "http://localhost:8009", 15.0
KEY_VARIABLE = "ECURIE_API_KEY"
LAST_WORD_SECONDS = 5.0
LOST = (httpx2.RequestError, httpx2.StreamError)


class Server:
    """Where a server is, and how it is spoken to. Raises Unreachable for a URL that is none."""

    def __init__(self, url: str, key: str | None, timeout: float):
        self.url, self._timeout = url.rstrip("/"), timeout
        key = os.environ.get(KEY_VARIABLE) if key is None else key
        self._headers = {"Authorization": f"Bearer {key.strip()}"} if key else {}

    def options(self) -> dict[str, Any]:
        """For one of httpx2's clients. An open question holds a connection, so these have no limit."""
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=20)
        return {"base_url": self.url, "headers": self._headers, "limits": limits}

    def request(self, ask: Ask) -> dict[str, Any]:
        """Arguments of its `request`."""
        if not ask.path.startswith("/"):
            # The key must not go anywhere else.
            raise Unreachable(f"{self.url} names a place that is not its own: {ask.path[:100]}")
        timeout = LAST_WORD_SECONDS if ask.last_word else self._timeout
        return {
            "method": ask.method,
            "url": ask.path,
            "params": dict(ask.query) or None,
            "json": ask.json,
            "content": ask.content,
            "timeout": httpx2.Timeout(timeout, read=timeout + ask.seconds, pool=None),
        }

    def stream(self, path: str) -> dict[str, Any]:
        """Arguments of its `stream`, for events."""
        timeout = httpx2.Timeout(self._timeout, read=SILENCE_SECONDS, pool=None)
        return {"method": "GET", "url": path, "timeout": timeout}

    def unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"no Écurie answers at {self.url} ({error or type(error).__name__})",
            remedy="start it with `ecurie serve`, or name another by its URL",
        )
