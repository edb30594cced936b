"""How jobs wait under three policies, simulated: `python -m bench.scheduling`.

One worker, jobs at random moments, models and adapters of long-tailed popularity, fixed seconds for a switch
and a generation. The product's own function chooses for "ours". Prints Markdown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ecurie.jobs.schedule import Held, Waiting, choose

Policy = Callable[[Sequence[Waiting], Held, float], Waiting]


@dataclass(frozen=True)
class Costs:
    """Seconds."""

    model: float
    stack: float
    generation: float


@dataclass(frozen=True)
class Case:
    """`load` is the work that arrives over what one worker can do without any switch of model."""

    jobs: int
    models: int
    adapters: int
    load: float
    costs: Costs


@dataclass
class Outcome:
    model_switches: int = 0
    stack_switches: int = 0
    total: float = 0.0
    waits: Sequence[float] = ()

    def wait(self, share: float) -> float:
        return sorted(self.waits)[int(share * (len(self.waits) - 1))]


def trace(case: Case, seed: int) -> list[tuple[float, Waiting]]:
    """(arrival, job); the k-th most popular model or adapter is asked for 1/k as often as the first."""
    chance = random.Random(seed)
    models, adapters = ([1 / (k + 1) for k in range(n)] for n in (case.models, case.adapters))
    pause = (case.costs.generation + case.costs.stack) / case.load
    now, jobs = 0.0, []
    for seq in range(case.jobs):
        now += chance.expovariate(1 / pause)
        count = chance.choices([0, 1, 2, 3], [0.2, 0.5, 0.2, 0.1])[0]
        stack = sorted(set(chance.choices(range(case.adapters), adapters, k=count)))
        model = chance.choices(range(case.models), models)[0]
        jobs.append((now, Waiting(f"{seq}", seq, 0, f"model-{model}", ",".join(map(str, stack)))))
    return jobs


def run(jobs: Sequence[tuple[float, Waiting]], costs: Costs, policy: Policy) -> Outcome:
    arrived = {job.id: moment for moment, job in jobs}
    outcome, waits, waiting, held, now, place = Outcome(), [], [], Held(), 0.0, 0
    while place < len(jobs) or waiting:
        while place < len(jobs) and jobs[place][0] <= now:
            waiting.append(jobs[place][1])
            place += 1
        if not waiting:
            now = jobs[place][0]
            continue
        chosen = policy(waiting, held, now)
        waits.append(now - arrived[chosen.id])
        waiting = [_overtaken(job, chosen, now) for job in waiting if job is not chosen]
        new_model = chosen.model != held.model
        new_stack = chosen.stack != ("" if new_model else held.stack)
        held = held.after(chosen.model, chosen.stack, now)
        outcome.model_switches += new_model
        outcome.stack_switches += new_stack
        now += new_model * costs.model + new_stack * costs.stack + costs.generation
    outcome.total, outcome.waits = now, waits
    return outcome


def _overtaken(job: Waiting, chosen: Waiting, now: float) -> Waiting:
    overtaken = job.overtaken_at is None and job.seq < chosen.seq
    return replace(job, overtaken_at=now) if overtaken else job


def first_come(waiting: Sequence[Waiting], _held: Held, _now: float) -> Waiting:
    return waiting[0]


def model_affinity(waiting: Sequence[Waiting], held: Held, _now: float) -> Waiting:
    """Without any bound: a popular model keeps the worker."""
    return next((job for job in waiting if job.model == held.model), waiting[0])


def ours(max_overtake: float) -> Policy:
    def policy(waiting: Sequence[Waiting], held: Held, now: float) -> Waiting:
        chosen = choose(waiting, held, now, max_overtake)
        assert chosen is not None
        return chosen

    return policy


POLICIES: dict[str, Policy] = {
    "first come": first_come,
    "model affinity": model_affinity,
    "ours, 30 s": ours(30),
    "ours, 60 s": ours(60),
}
GPU, CPU = Costs(model=2, stack=0.5, generation=4), Costs(model=6, stack=1, generation=4)
CASES = [
    Case(200, 3, 20, 1.0, GPU),
    Case(1000, 3, 100, 0.7, GPU),
    Case(1000, 3, 100, 1.0, GPU),
    Case(1000, 3, 100, 1.3, GPU),
    Case(1000, 3, 100, 1.0, CPU),
    Case(10_000, 10, 500, 1.0, GPU),
]


def table() -> str:
    lines = [
        "| jobs, models, adapters; load; switch | policy | model switches | fewer | stack switches "
        "| all done | waiting, p50 | p99 | longest |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in CASES:
        jobs = trace(case, seed=1)
        outcomes = {name: run(jobs, case.costs, policy) for name, policy in POLICIES.items()}
        worst = outcomes["first come"].model_switches
        what = f"{case.jobs:,}, {case.models}, {case.adapters}; {case.load:g}; {case.costs.model:g} s"
        for name, found in outcomes.items():
            waits = " | ".join(f"{found.wait(share):,.0f} s" for share in (0.5, 0.99, 1))
            lines.append(
                f"| {what} | {name} | {found.model_switches:,} | {worst / found.model_switches:.1f}× "
                f"| {found.stack_switches:,} | {found.total:,.0f} s | {waits} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
