"""How jobs wait under three policies, simulated: `python -m bench.scheduling`.

One worker, jobs at random moments, models and adapters of long-tailed popularity, fixed seconds for a switch
and a generation. The product's own functions choose for "ours" and give the turns. Prints Markdown.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ecurie.jobs.claims import CLAIM_WINDOW
from ecurie.jobs.schedule import Held, Waiting, choose

Policy = Callable[[Sequence[Waiting], Held, float], Waiting]
STEPS = 30


@dataclass(frozen=True)
class Costs:
    """Seconds."""

    model: float
    stack: float
    generation: float


@dataclass(frozen=True)
class Case:
    """`load` is the work that arrives over what one worker can do without any switch of model. `crowd` jobs
    more are sent at once, by an owner of their own, a tenth of the way through."""

    jobs: int
    models: int
    adapters: int
    load: float
    costs: Costs
    crowd: int = 0


@dataclass(frozen=True)
class Sent:
    """A job, in seconds from the start of the trace."""

    at: float
    owner: str
    job: Waiting


@dataclass
class Outcome:
    """`waits` in seconds, by owner."""

    model_switches: int = 0
    stack_switches: int = 0
    total: float = 0.0
    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def wait(self, share: float, owner: str | None = None) -> float:
        of_all = [wait for waits in self.waits.values() for wait in waits]
        waits = sorted(of_all if owner is None else self.waits[owner])
        return waits[int(share * (len(waits) - 1))]


def trace(case: Case, seed: int) -> list[Sent]:
    """The k-th most popular model or adapter is asked for 1/k as often as the first."""
    chance = random.Random(seed)
    models, adapters = ([1 / (k + 1) for k in range(n)] for n in (case.models, case.adapters))
    pause = (case.costs.generation + case.costs.stack) / case.load

    def draw() -> tuple[str, str]:
        count = chance.choices([0, 1, 2, 3], [0.2, 0.5, 0.2, 0.1])[0]
        stack = sorted(set(chance.choices(range(case.adapters), adapters, k=count)))
        model = chance.choices(range(case.models), models)[0]
        return f"model-{model}", ",".join(map(str, stack))

    now, wanted = 0.0, []
    for number in range(case.jobs):
        now += chance.expovariate(1 / pause)
        wanted.append((now, "one by one", *draw()))
        if number == case.jobs // 10:
            wanted += [(now, "crowd", *draw()) for _ in range(case.crowd)]
    return [
        Sent(at, owner, Waiting(f"{seq}", seq, 0, model, stack))
        for seq, (at, owner, model, stack) in enumerate(wanted)
    ]


class Queue:
    """Waiting jobs by turn, with turns as `ecurie.jobs.turns` gives them: all jobs have as many steps."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._ends: dict[str, int] = defaultdict(int)
        self._served = 0

    def add(self, sent: Sent) -> None:
        come_to = min((job.turn for job in self._waiting.values()), default=self._served)
        turn = max(come_to, self._ends[sent.owner])
        self._ends[sent.owner] = turn + STEPS
        self._waiting[sent.job.id] = replace(sent.job, turn=turn)

    def take(self, policy: Policy, held: Held, now: float) -> Waiting | None:
        """What the policy chooses among those that a worker sees."""
        seen = sorted(self._waiting.values(), key=lambda job: job.place)[:CLAIM_WINDOW]
        if not seen:
            return None
        chosen = policy(seen, held, now)
        for job in seen:
            self._waiting[job.id] = job.passed_by(chosen, now)
        del self._waiting[chosen.id]
        self._served = max(self._served, chosen.turn)
        return chosen


def run(jobs: Sequence[Sent], costs: Costs, policy: Policy) -> Outcome:
    sent = {one.job.id: one for one in jobs}
    outcome, queue, held, now, place = Outcome(), Queue(), Held(), 0.0, 0
    while True:
        while place < len(jobs) and jobs[place].at <= now:
            queue.add(jobs[place])
            place += 1
        chosen = queue.take(policy, held, now)
        if chosen is None:
            if place == len(jobs):
                break
            now = jobs[place].at
            continue
        outcome.waits[sent[chosen.id].owner].append(now - sent[chosen.id].at)
        new_model = chosen.model != held.model
        new_stack = chosen.stack != ("" if new_model else held.stack)
        held = held.after(chosen.model, chosen.stack, now)
        outcome.model_switches += new_model
        outcome.stack_switches += new_stack
        now += new_model * costs.model + new_stack * costs.stack + costs.generation
    outcome.total = now
    return outcome


def first_come(waiting: Sequence[Waiting], _held: Held, _now: float) -> Waiting:
    return min(waiting, key=lambda job: job.seq)


def model_affinity(waiting: Sequence[Waiting], held: Held, _now: float) -> Waiting:
    """Without any bound: a popular model keeps the worker."""
    return min(waiting, key=lambda job: (job.model != held.model, job.seq))


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
    Case(3000, 5, 200, 1.0, GPU),
    Case(10_000, 10, 500, 1.0, GPU),
]
CROWDED = Case(1000, 3, 100, 0.7, GPU, crowd=500)


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


def crowd_table() -> str:
    lines = [
        "| policy | model switches | all done | one by one: waiting, p50 | p99 | longest "
        "| the crowd: waiting, p50 | longest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    jobs = trace(CROWDED, seed=1)
    asked = (("one by one", 0.5), ("one by one", 0.99), ("one by one", 1.0), ("crowd", 0.5), ("crowd", 1.0))
    for name, policy in POLICIES.items():
        found = run(jobs, CROWDED.costs, policy)
        waits = " | ".join(f"{found.wait(share, owner):,.0f} s" for owner, share in asked)
        lines.append(f"| {name} | {found.model_switches:,} | {found.total:,.0f} s | {waits} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
    print(f"\n{CROWDED.jobs:,} jobs one by one, {CROWDED.crowd} of another owner at once:\n")
    print(crowd_table())
