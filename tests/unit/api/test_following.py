"""Everybody who follows jobs shares one reader."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from ecurie.api.following import Following
from ecurie.domain import Job, JobState
from ecurie.errors import StoreUnavailable
from tests.unit.jobs.test_store import REQUEST

JOBS = [Job(f"job-{number}", JobState.QUEUED, REQUEST, datetime.now(UTC)) for number in range(200)]


class Reader:
    """Where every even job has succeeded."""

    def __init__(self) -> None:
        self.looks: list[int] = []

    def __call__(self, known: Sequence[Job]) -> list[Job]:
        self.looks.append(len(known))
        even = [job for job in known if int(job.id.removeprefix("job-")) % 2 == 0]
        return [dataclasses.replace(job, state=JobState.SUCCEEDED) for job in even]


def test_two_hundred_listeners_cost_one_look() -> None:
    reader = Reader()

    async def follow() -> list[Job]:
        following = Following(reader)
        return list(await asyncio.gather(*(following.again(job) for job in JOBS)))

    now = asyncio.run(follow())
    assert reader.looks == [200]
    assert [job.id for job in now] == [job.id for job in JOBS]
    assert [job.state for job in now] == [JobState.SUCCEEDED, JobState.QUEUED] * 100


def test_who_leaves_does_not_end_the_look_of_the_others() -> None:
    async def follow() -> Job:
        following = Following(Reader())
        first, second = (asyncio.create_task(following.again(job)) for job in JOBS[:2])
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    assert asyncio.run(follow()) == JOBS[1]


def test_a_job_stays_as_it_was_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecurie.api.following.PAUSE_AFTER_FAULT_SECONDS", 0.01)
    answers = iter([StoreUnavailable("away"), None])
    reader = Reader()

    def read(known: Sequence[Job]) -> list[Job]:
        if error := next(answers):
            raise error
        return reader(known)

    async def follow() -> tuple[Job, Job]:
        following = Following(read)
        job = await following.again(JOBS[0])
        return job, await following.again(job)

    away, back = asyncio.run(follow())
    assert (away, back.state) == (JOBS[0], JobState.SUCCEEDED)
