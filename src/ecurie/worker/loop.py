"""A worker: one job after the other, whatever their ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from ecurie.bootstrap import make_catalog, make_downloader, make_pictures
from ecurie.domain import GenerationRequest, JobFailure
from ecurie.errors import EcurieError, GenerationFailed, JobCancelled, JobInterrupted, LeaseLost
from ecurie.first_use import place, settle
from ecurie.images.comparing import with_replay
from ecurie.images.files import OutputFolder, discard_runs
from ecurie.jobs.claims import Claim
from ecurie.jobs.schedule import Held, stack_of
from ecurie.jobs.store import JobStore
from ecurie.requests.pictures import PictureSource, settle_picture
from ecurie.requests.placing import is_placed
from ecurie.settings import Settings
from ecurie.worker.heartbeat import heartbeat
from ecurie.worker.reporter import Reporter
from ecurie.worker.stop import StopSign

if TYPE_CHECKING:
    from ecurie.engine.engine import Engine

log = logging.getLogger(__name__)
POLL_SECONDS = 0.02
LOOK_AGAIN_SECONDS = 1.0
RETRY_SECONDS = 1.0
ANSWER_SECONDS = 600.0
"""RabbitMQ takes a message for lost whose worker has not answered for half an hour."""


class Worker:
    """`tell` is called with the job that runs (None: none does) when that, or what is in memory, may have
    changed. `models` are those whose jobs it takes; None: all. `on_stall` is called when a job hangs and only
    the end of the process can help."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        store: JobStore,
        settings: Settings,
        stop: StopSign,
        tell: Callable[[str | None], None] = lambda _job: None,
        models: Callable[[], Collection[str] | None] = lambda: None,
        on_stall: Callable[[], None] = lambda: None,
    ):
        self._tell, self._models, self._on_stall = tell, models, on_stall
        self._name, self._engine, self._store, self._stop = name, engine, store, stop
        self._outputs_dir = settings.outputs_dir
        self._stall = settings.stall_seconds
        self._lease, self._max_overtake = settings.lease_seconds, settings.max_overtake_seconds
        self._held = Held()
        self._settings = settings
        self._look_again = 0.0

    def run(self) -> None:
        """Look at the table until told to stop."""
        while not self._stop.raised:
            claim = self._claim()
            if claim is None:
                time.sleep(POLL_SECONDS)
            else:
                self._work(claim)

    def answer(self) -> None:
        """Work on what waits, when a ring has come: as many rings may have been lost as there are jobs. After
        a while whoever rang is to know that it was heard."""
        until = time.monotonic() + ANSWER_SECONDS
        while not self._stop.raised and time.monotonic() < until:
            self._look_again = 0.0
            claim = self._claim()
            if claim is None:
                return
            self._work(claim)

    def _claim(self) -> Claim | None:
        """The next job. The table is looked at when it was written to, and now and then to be safe."""
        try:
            if time.monotonic() < self._look_again and not self._store.changed():
                return None
            self._look_again = time.monotonic() + LOOK_AGAIN_SECONDS
            return self._store.claims.take(
                self._name,
                self._held,
                lease_seconds=self._lease,
                max_overtake=self._max_overtake,
                models=self._models(),
            )
        except OperationalError as error:
            log.error("cannot claim a job: %s", error.orig)
            self._look_again = 0.0
            time.sleep(1)
            return None

    def _work(self, claim: Claim) -> None:
        job = claim.job
        log.info("job %s: run %d with %s", job.id, claim.attempt, job.request.model)
        reporter = Reporter(self._store.claims, claim, self._stop, partial(self._tell, job.id))
        with heartbeat(
            self._store.claims,
            claim,
            reporter,
            lease=self._lease,
            stall=self._stall,
            on_stall=self._on_stall,
        ):
            write, outcome = self._run(claim, reporter)
            self._tell(None)
            # Runs before this one lost the job: it never names their images.
            discard_runs(self._outputs_dir, job, range(1, claim.attempt))
            self._commit(write, claim, outcome)

    def _run(self, claim: Claim, reporter: Reporter) -> tuple[Callable[[], None], str]:
        """Make the images; returns how the store is told, and a word for the log."""
        job, claims = claim.job, self._store.claims
        outputs = OutputFolder(self._outputs_dir, job.id, job.created_at, attempt=claim.attempt)
        try:
            request = self._settled(claim, reporter)
            result = self._engine.run(request, outputs, reporter)
            result = with_replay(result, request, self._outputs_dir)
        except JobCancelled:
            return lambda: claims.end_cancelled(claim), "cancelled"
        except JobInterrupted as error:
            return lambda: claims.give_back(claim), f"back in the queue: {error}"
        except LeaseLost as error:
            return lambda: None, str(error)
        except EcurieError as error:
            failure = JobFailure.of(error)
            return lambda: claims.fail(claim, failure), f"failed: {error}"
        except Exception as error:
            log.exception("job %s: unexpected error", job.id)
            unexpected = GenerationFailed(
                f"{type(error).__name__}: {error}", remedy="see the server's log for the traceback"
            )
            failure = JobFailure.of(unexpected)
            return lambda: claims.fail(claim, failure), "failed"
        self._held = self._held.after(request.model, stack_of(request), time.time())
        return lambda: claims.succeed(claim, result), "succeeded"

    def _settled(self, claim: Claim, reporter: Reporter) -> GenerationRequest:
        """The job's request, once the files that it waits for are here."""
        request = claim.job.request
        if not request.unsettled and is_placed(request):
            return request
        log.info("job %s: finding or downloading what it needs", claim.job.id)
        # Read now: a catalogue that is broken at the moment stops only such jobs.
        catalog, downloader = make_catalog(self._settings), make_downloader(self._settings)
        if not request.unsettled:
            return place(request, catalog, downloader, reporter)
        pictures = PictureSource(partial(settle_picture, pictures=make_pictures(self._settings)))
        request = settle(request, catalog, downloader, self._settings.max_pixels, reporter, pictures)
        try:
            self._store.claims.settle(claim, request, stack_of(request))
        except OperationalError as error:
            raise JobInterrupted(f"what it settled cannot be written: {error.orig}") from error
        return request

    def _commit(self, write: Callable[[], None], claim: Claim, outcome: str) -> None:
        """Tell the store how the job ended. A store that cannot write now (a full disk) is tried again, with
        the lease kept; another run of the job would fare no better."""
        while True:
            try:
                write()
            except LeaseLost as error:
                log.warning("%s", error)
                discard_runs(self._outputs_dir, claim.job, [claim.attempt])
            except OperationalError as error:
                log.error("job %s: the outcome cannot be written: %s", claim.job.id, error.orig)
                if not self._stop.overdue:
                    time.sleep(RETRY_SECONDS)
                    continue
            else:
                log.info("job %s: %s", claim.job.id, outcome)
            return
