"""What a running job tells the store, and hears from it; and what is seen of its run on the way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import OperationalError

from ecurie.domain import Progress, Seen
from ecurie.errors import JobInterrupted
from ecurie.jobs.claims import Claim, Claims
from ecurie.worker.stop import StopSign

log = logging.getLogger(__name__)
REPORT_SECONDS = 0.1
CHECK_SECONDS = 0.2
DRAWING = "denoising"


@dataclass(frozen=True, slots=True)
class Phase:
    """What a run did from a moment on, in seconds since 1970."""

    name: str
    began_at: float


class Reporter:
    """Passes progress to the store, and stop signs and cancellation to the engine."""

    def __init__(self, claims: Claims, claim: Claim, stop: StopSign, announce: Callable[[], None]):
        self._claims, self._claim, self._stop, self._announce = claims, claim, stop, announce
        self._phase, self._reported_at = "", 0.0
        self._checked_at = 0.0
        self.drawing = False
        self.last_sign = time.monotonic()
        self.phases = [Phase("preparing", time.time())]
        self._last = ("preparing", 0)
        self._steps: list[float] = []
        self._step_at: float | None = None
        self._previews = self.downloaded = 0

    @property
    def seen(self) -> Seen:
        return Seen(tuple(self._steps), self._previews, self.downloaded)

    def __call__(self, progress: Progress) -> None:
        self._look_at(progress)
        self.last_sign = time.monotonic()
        self.drawing = progress.step > 0
        if self._stop.overdue:
            raise JobInterrupted("the worker is stopping")
        now = time.monotonic()
        recent = now - self._reported_at < REPORT_SECONDS
        if progress.phase == self._phase and recent and progress.preview is None:
            self._tell(self._claims.check)
            return
        self._tell(lambda claim: self._claims.report(claim, progress))
        if progress.phase != self._phase:
            self._announce()
        self._phase, self._reported_at = progress.phase, now

    def _look_at(self, progress: Progress) -> None:
        now, (phase, step), self._last = time.monotonic(), self._last, (progress.phase, progress.step)
        if progress.phase != phase:
            self.phases.append(Phase(progress.phase, time.time()))
        if progress.preview is not None:
            self._previews += 1
        if phase != DRAWING or progress.step != step + 1:
            self._step_at = None
            return
        # The first step of an image begins with other work, so it is not timed.
        if self._step_at is not None:
            self._steps.append(now - self._step_at)
        self._step_at = now

    def _tell(self, tell: Callable[[Claim], None]) -> None:
        """A store that does not answer now stops no job: its end is written when the store is back."""
        try:
            tell(self._claim)
        except OperationalError as error:
            log.warning("job %s: the store cannot be told or asked now: %s", self._claim.job.id, error.orig)

    def check(self) -> None:
        """Between reports, as often as one likes: a sign of life, and whether to go on.

        Raises JobCancelled, JobInterrupted or LeaseLost.
        """
        now = time.monotonic()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = self.last_sign = now
        if self._stop.overdue:
            raise JobInterrupted("the worker is stopping")
        self._tell(self._claims.check)
