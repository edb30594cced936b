"""Which job next: a pure function of what waits, what the worker holds, and the time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ecurie.domain import GenerationRequest


@dataclass(frozen=True, slots=True)
class Waiting:
    """A queued job. Higher `priority` goes first, then lower `turn`, which is fair among owners (turns.py);
    `seq` is the order of arrival. `overtaken_at` is when, in seconds, a later job of its priority first went
    before it."""

    id: str
    seq: int
    priority: int
    model: str
    stack: str
    overtaken_at: float | None = None
    turn: int = 0

    @property
    def place(self) -> tuple[int, int]:
        """Its order among jobs of its priority."""
        return self.turn, self.seq

    def passed_by(self, chosen: Waiting, now: float) -> Waiting:
        """As it is once `chosen` was taken: marked, if that went before it for the first time."""
        first_time = self.overtaken_at is None and self.priority == chosen.priority
        return replace(self, overtaken_at=now) if first_time and self.place < chosen.place else self


@dataclass(frozen=True, slots=True)
class Held:
    """What a worker has in memory and patched in; None at the start. `since` is when it took up the model."""

    model: str | None = None
    stack: str | None = None
    since: float = 0.0

    def after(self, model: str, stack: str, now: float) -> Held:
        """What it holds once it has run a job of these."""
        return Held(model, stack, self.since if model == self.model else now)


def choose(waiting: Sequence[Waiting], held: Held, now: float, max_overtake: float) -> Waiting | None:
    """Of the highest priority: the stack that the worker holds, then its model, then the first in turn.

    A worker that has held a model for `max_overtake` seconds goes to the model of the first in turn; on a
    model, a job that another stack has overtaken for so long goes first. So affinity may delay a job, never
    starve it, and in a long queue each model still gets a visit of that length (docs/scheduling.md). With 0
    there is no affinity: strictly by turn.
    """
    if not waiting:
        return None
    top = max(job.priority for job in waiting)
    candidates = sorted((job for job in waiting if job.priority == top), key=lambda job: job.place)
    visited = [job for job in candidates if job.model == held.model]
    visit_is_over = now - held.since >= max_overtake and candidates[0].model != held.model
    if max_overtake == 0 or not visited or visit_is_over:
        return candidates[0]
    first = visited[0]
    if first.overtaken_at is not None and now - first.overtaken_at >= max_overtake:
        return first
    return next((job for job in visited if job.stack == held.stack), first)


def left_after(chosen: Waiting, waiting: Iterable[Waiting], now: float) -> list[Waiting]:
    """What waits once `chosen` was taken from it."""
    return [job.passed_by(chosen, now) for job in waiting if job is not chosen]


def foresee(
    waiting: Sequence[Waiting], held: Held, now: float, max_overtake: float, count: int
) -> list[Waiting]:
    """The jobs that a worker which holds this would choose one after the other, if nothing else came."""
    left, found = list(waiting), list[Waiting]()
    while len(found) < count and (chosen := choose(left, held, now, max_overtake)) is not None:
        left = left_after(chosen, left, now)
        found.append(chosen)
        held = held.after(chosen.model, chosen.stack, now)
    return found


def stack_of(request: GenerationRequest) -> str:
    """Equal for requests that need the same adapters at the same weights and blocks, in any order."""
    uses = sorted(
        (use.sha256, use.config_sha256, use.unet, use.text_encoder, use.blocks) for use in request.adapters
    )
    return hashlib.sha256(json.dumps(uses).encode()).hexdigest()[:16] if uses else ""
