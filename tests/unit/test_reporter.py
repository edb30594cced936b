"""What is seen of a run from what the engine tells."""

from __future__ import annotations

from typing import Any, cast

import pytest

from ecurie.domain import Preview, Progress
from ecurie.jobs.claims import Claim, Claims
from ecurie.worker import reporter as module
from ecurie.worker.reporter import Reporter
from ecurie.worker.stop import StopSign


class Listening:
    def report(self, _claim: object, _progress: object) -> None: ...

    def check(self, _claim: object) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_steps_are_timed_but_for_the_first_of_each_image(clock: list[float]) -> None:
    reporter = Reporter(cast(Claims, Listening()), cast(Claim, None), StopSign(5), lambda: None)

    def tell(seconds: float, phase: str, step: int, **more: Any) -> None:
        clock[0] += seconds
        reporter(Progress(phase, step, 6, **more))

    tell(1, "loading model", 0)
    tell(1, "encoding prompt", 0)
    tell(1, "denoising", 0)
    tell(9, "denoising", 1)
    tell(2, "denoising", 2, preview=Preview(2, b""))
    reporter.check()
    tell(3, "decoding", 3)
    tell(5, "saving", 3)
    tell(1, "denoising", 3)
    tell(8, "denoising", 4)
    tell(4, "decoding", 5)
    assert reporter.seen.steps == (2, 3, 4)
    assert reporter.seen.previews == 1
    phases, image = [phase.name for phase in reporter.phases], ["denoising", "decoding", "saving"]
    assert phases == ["preparing", "loading model", "encoding prompt", *image, *image[:2]]
