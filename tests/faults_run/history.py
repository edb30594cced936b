"""What clients know of a server: what it acknowledged, what it refused, and every state that it told."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Seen:
    """What an answer told of a job; asked at `asked` and answered at `answered`, in monotonic seconds."""

    job_id: str
    state: str
    attempts: int
    images: tuple[str, ...]
    started_at: datetime | None
    asked: float
    answered: float


@dataclass(slots=True)
class History:
    """Written by any number of threads. Requests are told apart by their seeds, each used for one request.

    `unanswered` seeds are of requests that got no answer: they may be jobs or not. `errors` are answers that
    no client should get.
    """

    accepted: dict[str, int] = field(default_factory=dict)
    unanswered: set[int] = field(default_factory=set)
    refused: dict[int, int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    cancelled: list[Seen] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, job: dict[str, Any], asked: float) -> Seen:
        """A job as the server showed it in an answer to what was asked at `asked`."""
        images = job["result"]["images"] if job["result"] else ()
        seen = Seen(
            job_id=job["id"],
            state=job["state"],
            attempts=job["attempts"],
            images=tuple(image["filename"] for image in images),
            started_at=datetime.fromisoformat(job["started_at"]) if job["started_at"] else None,
            asked=asked,
            answered=time.monotonic(),
        )
        with self.lock:
            self.seen.append(seen)
        return seen

    def accept(self, job: dict[str, Any], seed: int, asked: float) -> None:
        with self.lock:
            self.accepted[job["id"]] = seed
        self.saw(job, asked)

    def was_cancelled(self, job: dict[str, Any], asked: float) -> None:
        """The server acknowledged that it was told to cancel this job."""
        seen = self.saw(job, asked)
        with self.lock:
            self.cancelled.append(seen)

    def accepted_ids(self) -> list[str]:
        with self.lock:
            return list(self.accepted)
