"""What is removed when it is old: images, jobs, and pictures that were sent."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ecurie.jobs.ended import EndedJobs

log = logging.getLogger(__name__)
DAY = 24 * 60 * 60.0
EVERY_SECONDS = 60 * 60.0
PAUSE_SECONDS = 0.05
"""Between batches, so that others get at the table meanwhile."""


@dataclass(frozen=True, slots=True)
class Keep:
    """Days; 0: for ever."""

    outputs: float
    jobs: float
    uploads: float


class Retention:
    """Looks at once and then every hour, from a thread, until it is stopped.

    `remove_output` removes an image by its name, `remove_uploads` pictures unused for so many days. A job is
    forgotten when its images are gone, or when images are kept for ever.
    """

    def __init__(
        self,
        ended: EndedJobs,
        keep: Keep,
        remove_output: Callable[[str], None],
        remove_uploads: Callable[[float], None],
    ):
        self._ended, self._keep = ended, keep
        self._remove_output, self._remove_uploads = remove_output, remove_uploads
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retention", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self.apply(time.time())
            except Exception:
                # The store or the disk cannot be used now; the next look does the rest.
                log.exception("what is old could not be removed")
            if self._stopping.wait(EVERY_SECONDS):
                return

    def apply(self, now: float) -> None:
        """Remove what is too old at `now`, in seconds since 1970."""
        if self._keep.outputs:
            self._remove_outputs(now - self._keep.outputs * DAY)
        if self._keep.jobs:
            # What keys may ask for in a day is counted from their jobs.
            self._remove_jobs(now - max(self._keep.jobs, 1) * DAY)
        if self._keep.uploads:
            self._remove_uploads(self._keep.uploads)

    def _remove_outputs(self, moment: float) -> None:
        while not self._stopping.is_set() and (found := self._ended.images_before(moment)):
            for names in found.values():
                for name in names:
                    self._remove_output(name)
            self._ended.images_removed(found)
            log.info("images of %d jobs removed", len(found))
            self._stopping.wait(PAUSE_SECONDS)

    def _remove_jobs(self, moment: float) -> None:
        self._ended.remove_sweeps_before(moment)
        while not self._stopping.is_set():
            removed = self._ended.remove_jobs_before(moment, images_must_be_gone=bool(self._keep.outputs))
            if not removed:
                return
            log.info("%d jobs removed", removed)
            self._stopping.wait(PAUSE_SECONDS)
