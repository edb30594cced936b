"""The checker of histories finds what it is for: each test breaks one thing in a world where all is well."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ecurie.domain import Job, JobFailure, JobResult, JobState
from ecurie.images.files import OutputFolder
from tests.faults_run.checking import Evidence, problems
from tests.faults_run.history import History, Seen
from tests.unit.jobs.test_store import REQUEST, RESULT

CREATED = datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC)
DONE, DROPPED, POISON = ("d" * 32, "c" * 32, "f" * 32)


def seen(job_id: str, state: str, at: float = 0, attempts: int = 1, **changes: Any) -> Seen:
    seen = Seen(job_id, state, attempts, (), None, asked=at, answered=at + 1)
    return dataclasses.replace(seen, **changes)


class World:
    """A job of two images that ran twice, one cancelled in the queue, one that killed every worker."""

    def __init__(self, folder: Path):
        self.folder = folder
        done = Job(DONE, JobState.SUCCEEDED, REQUEST, CREATED, attempts=2)
        self.jobs = {
            DONE: dataclasses.replace(done, result=self.save(done)),
            DROPPED: Job(DROPPED, JobState.CANCELLED, dataclasses.replace(REQUEST, seed=20), CREATED),
            POISON: Job(
                POISON,
                JobState.FAILED,
                dataclasses.replace(REQUEST, seed=30),
                CREATED,
                attempts=3,
                failure=JobFailure("worker-died", "it died 3 times"),
            ),
        }
        self.history = History(accepted={DONE: 7, DROPPED: 20}, unanswered={30}, refused={40: 503})
        self.history.seen += [
            seen(DONE, "queued", attempts=0),
            seen(DONE, "running", at=2),
            seen(DONE, "succeeded", at=4, attempts=2, images=self.images),
        ]
        self.history.cancelled.append(seen(DROPPED, "cancelled", attempts=0))
        self.log = f"INFO job {DONE}: run 1 with a\nINFO job {DONE}: run 2 with a\nINFO job {DONE}: succeeded"

    def save(self, job: Job) -> JobResult:
        outputs = OutputFolder(self.folder, job.id, job.created_at, attempt=job.attempts)
        picture = Image.effect_noise((64, 64), 50).convert("RGB")
        images = tuple(outputs.save(picture, job.request, index, RESULT.setup) for index in range(2))
        return dataclasses.replace(RESULT, images=images)

    @property
    def images(self) -> tuple[str, ...]:
        result = self.jobs[DONE].result
        assert result is not None
        return tuple(image.filename for image in result.images)

    def change(self, job_id: str, **changes: Any) -> None:
        self.jobs[job_id] = dataclasses.replace(self.jobs[job_id], **changes)

    def problems(self) -> list[str]:
        return problems(self.history, Evidence(self.jobs, self.folder, self.log, max_attempts=3))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_nothing_is_wrong_with_a_correct_history(world: World) -> None:
    assert world.problems() == []


def with_another_image(world: World) -> None:
    name = world.images[0]
    Image.new("RGB", (64, 64)).save(world.folder / name)


def with_the_images_of_another_run(world: World) -> None:
    job = dataclasses.replace(world.jobs[DONE], attempts=1)
    world.change(DONE, result=world.save(job))


def with_the_images_exchanged(world: World) -> None:
    one, two = (world.folder / name for name in world.images)
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


BREAKS: dict[str, Callable[[World], object]] = {
    "accepted, and gone": lambda world: world.jobs.pop(DROPPED),
    "not the request that was accepted": lambda world: world.history.accepted.update({DROPPED: 21}),
    "refused with 503, and is a job": lambda world: world.change(
        POISON, request=dataclasses.replace(REQUEST, seed=40)
    ),
    "became 2 jobs": lambda world: world.change(POISON, request=dataclasses.replace(REQUEST, seed=20)),
    "nobody sent it": lambda world: world.history.unanswered.clear(),
    "has not ended": lambda world: world.change(DROPPED, state=JobState.QUEUED),
    "was told to be failed, is succeeded": lambda world: world.history.seen.append(
        seen(DONE, "failed", at=4)
    ),
    "was succeeded, then running": lambda world: world.history.seen.append(seen(DONE, "running", at=9)),
    "1 images instead of 2": lambda world: world.change(
        DONE,
        result=dataclasses.replace(RESULT, images=world.jobs[DONE].result.images[:1]),  # type: ignore[union-attr]
    ),
    "its images were": lambda world: world.history.seen.append(
        seen(DONE, "succeeded", at=4, attempts=2, images=("a.png",))
    ),
    "cannot be read": lambda world: (world.folder / world.images[1]).unlink(),
    "cannot be read: image file is truncated": lambda world: (world.folder / world.images[0]).write_bytes(
        (world.folder / world.images[0]).read_bytes()[:-900]
    ),
    "has another manifest": with_the_images_exchanged,
    "cannot be read: the image does not tell how it was made": with_another_image,
    "is not of the run that committed": with_the_images_of_another_run,
    "no job has this file": lambda world: (world.folder / ".a.png.1-1.partial").touch(),
    "4 attempts": lambda world: world.history.seen.append(seen(DONE, "running", attempts=4)),
    "succeeded without a run": lambda world: world.change(DONE, attempts=0),
    "failed as worker-died after 2 attempts": lambda world: world.change(POISON, attempts=2),
    "failed as generation-failed": lambda world: world.change(
        POISON, failure=JobFailure("generation-failed", "odd")
    ),
    "cancelled, and still in the queue": lambda world: world.history.cancelled.append(seen(DONE, "queued")),
    "run 2 began after it was cancelled": lambda world: world.history.cancelled.append(seen(DONE, "running")),
    "cancelled, and ran after that": lambda world: world.change(
        DROPPED, started_at=CREATED + timedelta(seconds=1)
    ),
    "2 workers committed it": lambda world: setattr(world, "log", f"{world.log}\nINFO job {DONE}: succeeded"),
    "404": lambda world: world.history.errors.append(f"GET /jobs/{DONE} answered 404"),
}


@pytest.mark.parametrize("expected", BREAKS)
def test_a_history_that_breaks_a_rule_is_found(world: World, expected: str) -> None:
    BREAKS[expected](world)
    assert any(expected in problem for problem in world.problems()), world.problems()
