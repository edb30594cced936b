"""What the job table must say after any sequence of events: a model of a few lines, without a database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from ecurie.domain import HELD_STATES, JobState

LONGEST_STEPS = 90
SERVED = {*HELD_STATES, JobState.SUCCEEDED, JobState.FAILED}


@dataclass(slots=True, eq=False)
class ExpectedJob:
    """`holder` is worker and attempt; `commits` counts the results that were accepted."""

    id: str
    number: int
    sender: str
    priority: int
    steps: int
    turn: int
    state: JobState = JobState.QUEUED
    attempts: int = 0
    cancelled: bool = False
    holder: tuple[str, int] | None = None
    commits: int = 0

    def end(self, state: JobState) -> None:
        self.state, self.holder = state, None


@dataclass(slots=True)
class ExpectedTable:
    jobs: dict[str, ExpectedJob] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def submit(self, job_id: str, sender: str, priority: int, steps: int) -> None:
        turn = self.turn_for(sender, priority)
        job = ExpectedJob(job_id, next(self.numbers), sender, priority, steps, turn)
        self.jobs[job_id] = job

    def turn_for(self, sender: str, priority: int) -> int:
        """docs/scheduling.md: behind the sender's own jobs of the class, not before where its queue is."""
        mine = [job for job in self.jobs.values() if job.priority == priority]
        waiting = [job.turn for job in mine if job.state is JobState.QUEUED]
        served = [job.turn for job in mine if job.state in SERVED]
        reached = min(waiting) if waiting else max(served, default=0)
        own = [job for job in mine if job.sender == sender and job.state is not JobState.CANCELLED]
        last = max(own, key=lambda job: job.turn, default=None)
        return max(reached, 0 if last is None else last.turn + last.steps)

    def move(self, job: ExpectedJob, priority: int) -> None:
        if job.priority != priority:
            job.turn, job.priority = self.turn_for(job.sender, priority), priority

    def queue_again(self, job: ExpectedJob) -> None:
        job.state, job.holder = JobState.QUEUED, None

    @property
    def order(self) -> list[ExpectedJob]:
        """Those that wait, the next first."""
        waiting = (job for job in self.jobs.values() if job.state is JobState.QUEUED)
        return sorted(waiting, key=lambda job: (-job.priority, job.turn, job.number))

    def forget(self, ended: list[ExpectedJob]) -> None:
        for job in ended:
            del self.jobs[job.id]
            self.forgotten.add(job.id)


class Fairness:
    """While jobs of two senders wait in a class, each is served as many steps as the other, but for one job
    of each. It knows nothing of turns."""

    def __init__(self, table: ExpectedTable):
        self._table = table
        self._served: dict[tuple[int, str, str], int] = {}

    def look(self) -> None:
        """At who waits: a pair counts from when both do until one does not."""
        waiting = {(job.priority, job.sender) for job in self._table.order}
        pairs = {
            (priority, one, other)
            for (priority, one), (other_priority, other) in itertools.combinations(sorted(waiting), 2)
            if priority == other_priority
        }
        self._served = {pair: self._served.get(pair, 0) for pair in pairs}

    def disturbed(self, job: ExpectedJob) -> None:
        """A job left the queue unserved or came back to it: what was counted for its sender is void."""
        self._served = {pair: served for pair, served in self._served.items() if job.sender not in pair}

    def serve(self, job: ExpectedJob) -> None:
        self.look()
        for pair in self._served:
            priority, one, other = pair
            if priority == job.priority and job.sender in (one, other):
                self._served[pair] += job.steps if job.sender == one else -job.steps
                assert abs(self._served[pair]) <= 2 * LONGEST_STEPS, (
                    f"{pair}: {self._served[pair]} steps apart"
                )
