"""A job: its state, its progress, its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Literal

from ecurie.domain.requests import GenerationRequest
from ecurie.domain.results import JobResult
from ecurie.errors import EcurieError

PriorityName = Literal["interactive", "normal", "batch"]


class JobState(StrEnum):
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
HELD_STATES = frozenset({JobState.PREPARING, JobState.RUNNING})


class Priority(IntEnum):
    """A higher class goes before every lower one."""

    BATCH = -1
    NORMAL = 0
    INTERACTIVE = 1

    @property
    def label(self) -> PriorityName:
        return NAMES[self]

    @classmethod
    def named(cls, name: PriorityName) -> Priority:
        return cls[name.upper()]


NAMES: dict[Priority, PriorityName] = {
    Priority.BATCH: "batch",
    Priority.NORMAL: "normal",
    Priority.INTERACTIVE: "interactive",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """How what is drawn looked after `step`: a small WebP picture."""

    step: int
    image: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` of `total` denoising steps, over all images of the request; while files are downloaded, the
    bytes that are here and those in all (None: not told). `preview` is the newest; in a report, a new one."""

    phase: str
    step: int
    total: int
    bytes_done: int | None = None
    bytes_total: int | None = None
    preview: Preview | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job ended without a picture, for people (`message`, `remedy`) and programs (`code`)."""

    code: str
    message: str
    remedy: str | None = None

    @classmethod
    def of(cls, error: EcurieError) -> JobFailure:
        return cls(error.code, str(error), error.remedy)


@dataclass(frozen=True, slots=True)
class Job:
    """`traceparent` is the trace that its request belongs to, as W3C writes it; '' without one."""

    id: str
    state: JobState
    request: GenerationRequest
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    priority: Priority = Priority.NORMAL
    attempts: int = 0
    queue_position: int | None = None
    progress: Progress = field(default_factory=lambda: Progress("queued", 0, 0))
    result: JobResult | None = None
    failure: JobFailure | None = None
    owner: str = ""
    traceparent: str = ""
