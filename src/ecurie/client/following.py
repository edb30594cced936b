"""A job as it goes on, from its events; nothing here reads or waits."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ecurie.client.errors import Unreachable

if TYPE_CHECKING:
    import httpx2

    from ecurie.client.shapes import JobInfo, ProgressInfo, State

ENDED = frozenset({"succeeded", "failed", "cancelled"})
PATIENCE_SECONDS, PAUSE_SECONDS = 60.0, 0.5
SILENCE_SECONDS = 60.0
"""Between two signs of life in a stream of events; the server sends one every 15 seconds."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. `news` says what has changed: its `state`, its place in the `queue`, the `step`, the
    `preview`; or `lost`: the server does not answer, and is asked again.

    `step` of `total` denoising steps, over all images; `bytes_done` of `bytes_total` while `phase` is
    `downloading` (None: not, or not told). `estimated_start` is a moment in ISO 8601, `preview` the bytes of
    a small WebP picture of what is drawn.
    """

    news: Literal["state", "queue", "step", "preview", "lost"]
    state: State
    phase: str = "queued"
    step: int = 0
    total: int = 0
    bytes_done: int | None = None
    bytes_total: int | None = None
    queue_position: int | None = None
    estimated_start: str | None = None
    preview: bytes | None = None

    def at(self, news: Literal["state", "step"], told: ProgressInfo) -> Progress:
        return replace(
            self,
            news=news,
            phase=told["phase"],
            step=told["step"],
            total=told["total"],
            bytes_done=told.get("bytes_done"),
            bytes_total=told.get("bytes_total"),
        )


def progress_of(job: JobInfo) -> Progress:
    preview = None if job["preview"] is None else _picture(job["preview"])
    place = job["queue_position"], job["estimated_start"]
    return Progress("state", job["state"], "queued", 0, 0, None, None, *place, preview).at(
        "state", job["progress"]
    )


def _picture(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])


class Patience:
    """With a server that was met: it may be away for a while."""

    def __init__(self) -> None:
        self._lost_at: float | None = None

    def met(self) -> None:
        self._lost_at = None

    def lost(self, error: Unreachable) -> None:
        """Raises it, if the server has been away for too long."""
        now = time.monotonic()
        self._lost_at = self._lost_at or now
        if now - self._lost_at > PATIENCE_SECONDS:
            raise error


class Follower:
    """What one listener knows of its job; `job` is the last whole word on it."""

    def __init__(self, job: JobInfo):
        self.job = job
        self._now = progress_of(job)
        self._patience = Patience()

    @property
    def path(self) -> str:
        return f"/jobs/{self.job['id']}/events"

    @property
    def ended(self) -> bool:
        return self.job["state"] in ENDED

    def hear(self, event: httpx2.ServerSentEvent) -> Progress | None:
        """None: an event that says nothing of progress."""
        self._patience.met()
        told = json.loads(event.data)
        match event.event:
            case "state":
                self.job = told
                self._now = progress_of(told)
            case "queue":
                place = {"queue_position": told["position"], "estimated_start": told["estimated_start"]}
                self._now = replace(self._now, news="queue", **place)
            case "step":
                self._now = self._now.at("step", told)
            case "preview":
                self._now = replace(self._now, news="preview", preview=_picture(told["image"]))
            case _:
                return None
        return self._now

    def lose(self, error: Unreachable) -> Progress:
        """Of a server that was there. Raises the error when it has been away for too long."""
        self._patience.lost(error)
        return replace(self._now, news="lost")
