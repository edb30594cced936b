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


class Reporter:
    """Passes progress to the store, and stop signs and cancellation to the engine."""

    def __init__(self, claims: Claims, claim: Claim, stop: StopSign, announce: Callable[[], None]):
        self._claims, self._claim, self._stop, self._announce = claims, claim, stop, announce
        self._phase, self._reported_at = "", 0.0
        self.last_sign = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        self.last_sign = time.monotonic()
        if self._stop.overdue:
            raise JobInterrupted("the worker is stopping")
        try:
            self._tell(progress)
        except OperationalError as error:
            # Drawing does not need the store; what does (the lease, the commit) tries again by itself.
            log.error("job %s: progress cannot be told: %s", self._claim.job.id, error.orig)

    def _tell(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.phase == self._phase and now - self._reported_at < REPORT_SECONDS:
            self._claims.check(self._claim)
            return
        self._claims.report(self._claim, progress)
        if progress.phase != self._phase:
            self._announce()
        self._phase, self._reported_at = progress.phase, now
