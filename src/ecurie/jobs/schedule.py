"""Which job next: a pure function of what waits, what the worker holds, and the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job. Higher `priority` goes first; `seq` is the order of arrival; times in seconds."""

    id: str
    seq: int
    priority: int
    model: str
    stack: str
    created_at: float


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker has in memory and patched in; None at the start."""

    model: str | None = None
    stack: str | None = None


def choose(waiting: Sequence[Waiting], held: Held, now: float, max_overtake: float) -> Waiting | None:
    """Highest priority, then the stack the worker holds, then its model, then the oldest.

    The oldest job of the highest priority goes first once it has waited `max_overtake` seconds, whatever the
    worker holds: affinity may delay a job, never starve it.
    """
    if not waiting:
        return None
    top = max(job.priority for job in waiting)
    candidates = [job for job in waiting if job.priority == top]
    oldest = min(candidates, key=lambda job: job.seq)
    if now - oldest.created_at >= max_overtake:
        return oldest

    def rank(job: Waiting) -> tuple[bool, bool, int]:
        same_model = job.model == held.model
        return not (same_model and job.stack == held.stack), not same_model, job.seq

    return min(candidates, key=rank)
