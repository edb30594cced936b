"""While a job runs, the files of those that come next are brought nearer, from a thread of low priority."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from ecurie.domain import GenerationRequest
from ecurie.jobs.claims import Claims
from ecurie.jobs.schedule import Held
from ecurie.logs import about
from ecurie.requests.placing import is_placed

log = logging.getLogger(__name__)
AHEAD = 3
"""So many of the next jobs are looked at."""
LOOK_SECONDS = 0.5
"""How often it is looked for something to do; jobs that draw for less are left in peace."""
NICE = 10
"""Not the lowest: on a busy machine a thread that hardly runs would still hold Python's lock now and then."""
REMEMBERED = 1000
GetReady = Callable[[GenerationRequest, Callable[[], None]], int]


class Stopped(Exception):
    """The job beside which the work was done has ended, or the next one needs the disk itself."""


class Prefetcher:
    """`get_ready` gets one request's files ready; it is called on the prefetcher's own thread, and calls its
    second argument to hear whether to go on. `models` are those that the worker serves (None: all)."""

    def __init__(
        self,
        claims: Claims,
        get_ready: GetReady,
        max_overtake: float,
        models: Callable[[], Collection[str] | None] = lambda: None,
    ):
        self._claims, self._get_ready, self._max_overtake = claims, get_ready, max_overtake
        self._models = models
        self._held = Held()
        self._drawing: Callable[[], bool] = lambda: False
        self._running = threading.Event()
        self._done: OrderedDict[str, None] = OrderedDict()
        threading.Thread(target=self._work, name="prefetch", daemon=True).start()

    @contextmanager
    def beside(self, held: Held, drawing: Callable[[], bool]) -> Iterator[None]:
        """Work while a job runs, once it is `drawing`: until then it may need the disk itself. `held` is what
        the worker will hold after it. Leaving waits for nothing."""
        self._held, self._drawing = held, drawing
        self._running.set()
        try:
            yield
        finally:
            self._running.clear()

    def _work(self) -> None:
        _lower_priority()
        while self._running.wait():
            time.sleep(LOOK_SECONDS)
            try:
                self._look()
            except Stopped:
                continue
            except Exception as error:
                # The job itself will meet the fault again, and say so.
                log.info("nothing could be prefetched: %s", error)

    def _look(self) -> None:
        self._check()
        upcoming = self._claims.upcoming(
            self._held, AHEAD, max_overtake=self._max_overtake, models=self._models()
        )
        for job_id, request in upcoming:
            if job_id in self._done or request.unsettled or not is_placed(request):
                continue
            with about(job=job_id, model=request.model):
                self._prefetch(job_id, request)

    def _prefetch(self, job_id: str, request: GenerationRequest) -> None:
        began = time.monotonic()
        try:
            count = self._get_ready(request, self._check)
        finally:
            # One that fails here fails when it runs; it is not tried again and again until then.
            self._remember(job_id)
        log.debug("job %s: %.1f MB prefetched in %.1f s", job_id, count / 1e6, time.monotonic() - began)

    def _check(self) -> None:
        if not (self._running.is_set() and self._drawing()):
            raise Stopped

    def _remember(self, job_id: str) -> None:
        if self._running.is_set():
            self._done[job_id] = None
        while len(self._done) > REMEMBERED:
            self._done.popitem(last=False)


def _lower_priority() -> None:
    """Of this thread alone, where the system can do that."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
