"""Which job next: a pure function of what waits, what the worker holds, and the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job. Higher `priority` goes first; `seq` is the order of arrival. `overtaken_at` is when, in
    seconds, a later job of its priority first went before it."""

    id: str
    seq: int
    priority: int
    model: str
    stack: str
    overtaken_at: float | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker has in memory and patched in; None at the start."""

    model: str | None = None
    stack: str | None = None


def choose(waiting: Sequence[Waiting], held: Held, now: float, max_overtake: float) -> Waiting | None:
    """Highest priority, then the stack the worker holds, then its model, then the oldest.

    A job goes first, whatever the worker holds, once it has been overtaken for `max_overtake` seconds:
    affinity may delay a job, never starve it.
    """
    if not waiting:
        return None
    top = max(job.priority for job in waiting)
    candidates = [job for job in waiting if job.priority == top]
    overdue = [
        job for job in candidates if job.overtaken_at is not None and now - job.overtaken_at >= max_overtake
    ]
    if overdue:
        return min(overdue, key=lambda job: job.seq)

    def rank(job: Waiting) -> tuple[bool, bool, int]:
        same_model = job.model == held.model
        return not (same_model and job.stack == held.stack), not same_model, job.seq

    return min(candidates, key=rank)
