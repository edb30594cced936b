"""Keeping a lease while a job runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError

from ecurie.errors import LeaseLost
from ecurie.jobs.claims import Claim, Claims
from ecurie.logs import in_this_context
from ecurie.worker.reporter import Reporter

log = logging.getLogger(__name__)


@contextmanager
def heartbeat(
    claims: Claims,
    claim: Claim,
    reporter: Reporter,
    *,
    lease: float,
    stall: float,
    on_stall: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Renews the lease from a thread, so that a long model load keeps it, until the job has stalled; then
    `on_stall` is called.

    `lease` and `stall` in seconds.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(lease / 3):
            if time.monotonic() - reporter.last_sign > stall:
                log.error("job %s: no progress for %.0f s, its lease is given up", claim.job.id, stall)
                on_stall()
                return
            try:
                claims.renew(claim, lease)
            except LeaseLost:
                return
            except OperationalError as error:
                log.error("cannot renew the lease: %s", error.orig)

    thread = threading.Thread(target=in_this_context(beat), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
