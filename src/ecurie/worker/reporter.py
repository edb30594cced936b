"""What a running job tells the store, and hears from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy.exc import OperationalError

from ecurie.domain import Progress
from ecurie.errors import JobInterrupted
from ecurie.jobs.claims import Claim, Claims
from ecurie.worker.stop import StopSign

log = logging.getLogger(__name__)
REPORT_SECONDS = 0.1
CHECK_SECONDS = 0.2


class Reporter:
    """Passes progress to the store, and stop signs and cancellation to the engine."""

    def __init__(self, claims: Claims, claim: Claim, stop: StopSign, announce: Callable[[], None]):
        self._claims, self._claim, self._stop, self._announce = claims, claim, stop, announce
        self._phase, self._reported_at = "", 0.0
        self._checked_at = 0.0
        self.drawing = False
        self.last_sign = time.monotonic()

    def __call__(self, progress: Progress) -> None:
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
