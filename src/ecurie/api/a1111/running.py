"""Requests that are being drawn: what `progress` shows and `interrupt` stops."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ecurie.domain import HELD_STATES, Caller, Job
from ecurie.jobs.client_options import Client
from ecurie.service import Service

REMEMBERED = 64


@dataclass(slots=True)
class Asked:
    """A request whose client waits for it, and its jobs as they were when somebody last looked.

    `task` is what the client calls it; `kind` is `txt2img` or `img2img`.
    """

    client: Client
    task: str
    kind: str
    jobs: list[Job]
    interrupted: bool = False
    skipped: bool = False

    @property
    def current(self) -> Job:
        """The job that runs; else the next, at the end the last."""
        unended = [job for job in self.jobs if not job.state.ended]
        held = (job for job in unended if job.state in HELD_STATES)
        return next(held, unended[0] if unended else self.jobs[-1])

    @property
    def is_drawn(self) -> bool:
        return self.current.state in HELD_STATES

    def look(self, service: Service, caller: Caller) -> None:
        """Again at those that had not ended."""
        self.jobs = [job if job.state.ended else service.job(job.id, caller) for job in self.jobs]


class Running:
    """Those of this process, each client's by themselves: nobody sees or stops another's."""

    def __init__(self) -> None:
        self._asked: list[Asked] = []
        self._ended: deque[tuple[Client, str]] = deque(maxlen=REMEMBERED)

    @contextmanager
    def during(self, asked: Asked) -> Iterator[None]:
        self._asked.append(asked)
        try:
            yield
        finally:
            self._asked.remove(asked)
            self._ended.append((asked.client, asked.task))

    def current(self, client: Client, service: Service, caller: Caller) -> Asked | None:
        """The oldest that is drawn now; else the oldest that waits."""
        own = [asked for asked in self._asked if asked.client == client]
        for asked in own:
            asked.look(service, caller)
        return next((asked for asked in own if asked.is_drawn), own[0] if own else None)

    def named(self, task: str, client: Client, service: Service, caller: Caller) -> Asked | None:
        for asked in self._asked:
            if (asked.client, asked.task) == (client, task):
                asked.look(service, caller)
                return asked
        return None

    def has_ended(self, task: str, client: Client) -> bool:
        """Of the last ones."""
        return (client, task) in self._ended
