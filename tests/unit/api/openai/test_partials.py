"""Which previews of a job are told as partial images."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from ecurie.api.openai.streaming import Partials
from ecurie.domain import GenerationRequest, Job, JobState, Preview, Progress
from tests.unit.conftest import make_request

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture(scope="module")
def request_of_two() -> GenerationRequest:
    return make_request(steps=12, num_images=2)


def told(request: GenerationRequest, wanted: int, steps: list[int]) -> list[tuple[int, int, int]]:
    """(image, index, step)"""
    partials, job = Partials(wanted), Job("j", JobState.RUNNING, request, NOW)
    found = []
    for step in steps:
        progress = Progress("denoising", step, 24, preview=Preview(step, b""))
        for _ in range(2):
            if partial := partials.of(dataclasses.replace(job, progress=progress)):
                found.append((*partial[:2], partial[2].step))
    return found


@pytest.mark.parametrize(
    ("wanted", "partials"),
    [
        (0, []),
        (1, [(0, 0, 6), (1, 0, 18)]),
        (2, [(0, 0, 4), (0, 1, 8), (1, 0, 16), (1, 1, 20)]),
        (3, [(0, 0, 3), (0, 1, 6), (0, 2, 9), (1, 0, 15), (1, 1, 18), (1, 2, 21)]),
    ],
)
def test_they_are_spread_over_the_steps_of_each_image(
    request_of_two: GenerationRequest, wanted: int, partials: list[tuple[int, int, int]]
) -> None:
    assert told(request_of_two, wanted, list(range(1, 25))) == partials


def test_where_previews_are_rare_there_are_fewer_and_their_indices_have_no_gap(
    request_of_two: GenerationRequest,
) -> None:
    assert told(request_of_two, 3, [2, 7, 11, 24]) == [(0, 0, 7), (0, 1, 11), (1, 0, 24)]


def test_a_job_without_previews_has_none(request_of_two: GenerationRequest) -> None:
    job = Job("j", JobState.RUNNING, request_of_two, NOW)
    assert Partials(3).of(job) is None
