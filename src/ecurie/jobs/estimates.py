"""When jobs will start and end: a pure function of the queue, of what runs, and of times that were measured.

The queue is played through with the function that workers choose by, so an estimate knows of priorities,
switches and how often each model gets its turn. Times are medians of recent jobs. All moments are seconds
since the epoch, all durations seconds.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from statistics import median

from ecurie.jobs.schedule import Held, Waiting, choose, left_after


@dataclass(frozen=True, slots=True)
class Ended:
    """A job that succeeded: what it took, besides `steps` of denoising that took `denoise` together."""

    worker: str
    model: str
    stack: str
    steps: int
    started_at: float
    before: float
    switch: float
    denoise: float
    after: float


@dataclass(frozen=True, slots=True)
class Pace:
    """What a job of a model takes: `before` its steps (without switching), each `step`, and `after` them."""

    before: float
    step: float
    after: float

    def of(self, steps: int) -> float:
        return self.before + steps * self.step + self.after


@dataclass(frozen=True, slots=True)
class Measured:
    """Paces by model, and what it takes to change the model, or the adapters alone."""

    paces: Mapping[str, Pace] = field(default_factory=dict)
    model_switch: float = 0.0
    stack_switch: float = 0.0

    def pace(self, model: str) -> Pace | None:
        """That of a typical model for one that was not measured; None while nothing was."""
        return self.paces.get(model) or (_typical(self.paces.values()) if self.paces else None)

    def switch(self, held: Held, model: str, stack: str) -> float:
        if held.model != model:
            return self.model_switch
        return 0.0 if held.stack == stack else self.stack_switch


@dataclass(frozen=True, slots=True)
class Running:
    """A job in a worker's hands. `drawing_at` is when its first step was done; None before. `waits`: for
    files that are downloaded, nobody knows how long."""

    id: str
    worker: str
    model: str
    stack: str
    step: int
    steps: int
    started_at: float
    drawing_at: float | None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Queued:
    job: Waiting
    steps: int


@dataclass(frozen=True, slots=True)
class Times:
    """When a job starts and ends; None: not known."""

    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """Of the jobs that were played through, in `order`. A job behind them starts at `then`, and each one
    between adds `pause`; None: not known."""

    times: Mapping[str, Times]
    order: tuple[str, ...]
    then: float | None
    pause: float

    def behind(self, position: int) -> Times:
        """Of a queued job that was not played through, by its position in the queue, 1 being next."""
        if self.then is None:
            return Times()
        return Times(self.then + max(0, position - len(self.order) - 1) * self.pause)


def measure(ended: Iterable[Ended]) -> Measured:
    """Medians by model. What a switch takes is told by what the same worker did before."""
    by_model: dict[str, list[Ended]] = defaultdict(list)
    switches: dict[str, list[float]] = defaultdict(list)
    last: dict[str, Ended] = {}
    for job in sorted(ended, key=lambda job: job.started_at):
        by_model[job.model].append(job)
        before = last.get(job.worker)
        last[job.worker] = job
        if before is None or before.model != job.model:
            switches["model"].append(job.switch)
        elif before.stack != job.stack:
            switches["stack"].append(job.switch)
    return Measured(
        {model: _pace(jobs) for model, jobs in by_model.items()},
        median(switches["model"] or [0.0]),
        median(switches["stack"] or [0.0]),
    )


def _pace(jobs: Sequence[Ended]) -> Pace:
    return Pace(
        median(job.before for job in jobs),
        median(job.denoise / max(1, job.steps) for job in jobs),
        median(job.after for job in jobs),
    )


def _typical(paces: Iterable[Pace]) -> Pace:
    known = list(paces)
    return Pace(*(median(getattr(pace, name) for pace in known) for name in ("before", "step", "after")))


def end_of(job: Running, measured: Measured, now: float) -> float | None:
    """From its own steps once two are done, from those of others before."""
    pace, left = measured.pace(job.model), job.steps - job.step
    if job.drawing_at is not None and job.step >= 2:
        # The next step is under way, half done on average.
        own = (now - job.drawing_at) / (job.step - 0.5)
        return now + left * own + (pace.after if pace else 0.0)
    if pace is None or job.waits:
        return None
    if job.drawing_at is not None:
        return max(now, job.drawing_at + left * pace.step + pace.after)
    return max(now + pace.after, job.started_at + pace.of(job.steps))


def foresee(
    queued: Sequence[Queued],
    running: Sequence[Running],
    workers: Mapping[str, Held],
    measured: Measured,
    now: float,
    max_overtake: float,
) -> Outlook:
    """Play the queue through. `workers` are those that are ready, with what each holds; those of `running`
    count in any case."""
    times = {job.id: Times(job.started_at, end_of(job, measured, now)) for job in running}
    busy = {job.worker: job for job in running}
    held = dict(workers) | {name: Held(job.model, job.stack, job.started_at) for name, job in busy.items()}
    free = [(_free_at(times, busy.get(name), now), name) for name in held]
    heapq.heapify(free)
    left = [one.job for one in queued]
    steps = {one.job.id: one.steps for one in queued}
    order: list[str] = []
    while left and free and free[0][0] < inf:
        at, worker = heapq.heappop(free)
        chosen = choose(left, held[worker], at, max_overtake)
        assert chosen is not None
        left = left_after(chosen, left, at)
        pace = measured.pace(chosen.model)
        switch = measured.switch(held[worker], chosen.model, chosen.stack)
        end = None if pace is None else at + switch + pace.of(steps[chosen.id])
        times[chosen.id] = Times(at, end)
        order.append(chosen.id)
        held[worker] = held[worker].after(chosen.model, chosen.stack, at if end is None else end)
        heapq.heappush(free, (inf if end is None else end, worker))
    then = free[0][0] if free and not left and free[0][0] < inf else None
    pause = (then - now) / len(order) if then is not None and order else 0.0
    return Outlook(times, tuple(order), then, pause)


def _free_at(times: Mapping[str, Times], job: Running | None, now: float) -> float:
    if job is None:
        return now
    end = times[job.id].end
    return inf if end is None else end
