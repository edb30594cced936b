"""Asking a server that runs, on this machine or another."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ecurie.errors import RequestError, ServerUnreachable, ServiceError

if TYPE_CHECKING:
    import httpx2

    from ecurie.settings import Settings

TIMEOUT, SILENCE = 15.0, 60.0
"""Seconds for an answer, and between two signs of life in a stream of events."""
OUR_FAULT = range(400, 429)
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event; `data` is its JSON."""

    name: str
    data: dict[str, Any]


class Remote:
    """Raises ServerUnreachable when there is no answer, and RequestError or ServiceError with what the server
    says is wrong."""

    def __init__(self, url: str, key: str | None):
        import httpx2

        self.url = url.rstrip("/")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._client = httpx2.Client(base_url=self.url, headers=headers, timeout=TIMEOUT)

    def get(self, path: str, **query: Any) -> Any:
        given = {name: value for name, value in query.items() if value is not None}
        return self._ask("GET", path, params=given)

    def delete(self, path: str) -> Any:
        return self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        with self._reaching():
            answer = self._client.request(method, path, **options)
        self._check(answer)
        return answer.json()

    def events(self, path: str) -> Iterator[Event]:
        """Until the server ends them. Raises as the class says, also in the middle."""
        with self._reaching(), self._client.stream("GET", path, timeout=SILENCE) as answer:
            if answer.is_error:
                answer.read()
            self._check(answer)
            name = ""
            for line in answer.iter_lines():
                field, _, value = line.partition(": ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield Event(name, json.loads(value))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        import httpx2

        try:
            yield
        except (httpx2.TransportError, httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
            raise ServerUnreachable(
                f"no Écurie answers at {self.url} ({error})",
                remedy="start it with `ecurie serve`, or name another with --url",
            ) from error

    def _check(self, answer: httpx2.Response) -> None:
        if not answer.is_error:
            return
        try:
            problem = answer.json()
            detail, remedy = str(problem["detail"]), problem.get("remedy")
        except (ValueError, KeyError, TypeError):
            raise ServerUnreachable(
                f"{self.url} answers with status {answer.status_code}, not as Écurie does",
                remedy="name the server with --url",
            ) from None
        if answer.status_code in OUR_FAULT:
            raise RequestError(detail, remedy=remedy)
        raise ServiceError(detail, remedy=remedy)


def remote_of(settings: Settings, url: str | None) -> Remote:
    """The server at `url`, or the one that these settings would start."""
    host = ANY_ADDRESS.get(settings.host, settings.host)
    shown = f"[{host}]" if ":" in host else host
    key = None if settings.api_key is None else settings.api_key.get_secret_value()
    return Remote(url or f"http://{shown}:{settings.port}", key)
