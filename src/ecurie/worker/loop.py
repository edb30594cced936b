"""A worker: one job after the other, whatever their ends."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from ecurie.bootstrap import make_catalog, make_downloader, make_outputs, make_pictures
from ecurie.domain import GenerationRequest, JobFailure, Seen
from ecurie.errors import (
    EcurieError,
    GenerationFailed,
    JobCancelled,
    JobInterrupted,
    LeaseLost,
    OutOfMemory,
    RequestError,
    StorageUnavailable,
)
from ecurie.first_use import place, settle
from ecurie.images.comparing import with_replay
from ecurie.images.files import OutputFolder, discard_runs
from ecurie.jobs.claims import Claim
from ecurie.jobs.schedule import Held, stack_of
from ecurie.jobs.store import JobStore
from ecurie.logs import about
from ecurie.requests.pictures import PictureSource, settle_picture
from ecurie.requests.placing import is_placed
from ecurie.settings import Settings
from ecurie.worker.aside import run_aside
from ecurie.worker.heartbeat import heartbeat
from ecurie.worker.prefetch import Prefetcher
from ecurie.worker.reporter import Phase, Reporter
from ecurie.worker.stop import StopSign

if TYPE_CHECKING:
    from ecurie.catalog.catalog import Catalog
    from ecurie.catalog.downloads.downloader import Downloader
    from ecurie.engine.engine import Engine

log = logging.getLogger(__name__)
POLL_SECONDS = 0.02
LOOK_AGAIN_SECONDS = 1.0
RETRY_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
ANSWER_SECONDS = 600.0
"""RabbitMQ takes a message for lost whose worker has not answered for half an hour."""
Ending = tuple[Callable[[], None], str]
"""How the store is told of a job's end, and a word for the log."""
Trace = Callable[[Claim, Sequence[Phase], str], None]


class Worker:
    """`tell` is called with the job that runs (None: none does) when that, or what is in memory, may have
    changed. `models` are those whose jobs it takes; None: all. `on_stall` is called when a job hangs and only
    the end of the process can help. `trace` is told each run with its phases and its end."""

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
        trace: Trace = lambda _claim, _phases, _outcome: None,
    ):
        self._tell, self._models, self._on_stall, self._trace = tell, models, on_stall, trace
        self._name, self._engine, self._store, self._stop = name, engine, store, stop
        self._outputs, self._pictures = make_outputs(settings), make_pictures(settings)
        self._stall = settings.stall_seconds
        self._lease, self._max_overtake = settings.lease_seconds, settings.max_overtake_seconds
        self._max_attempts = settings.max_attempts
        self._held = Held()
        self._rests_until = 0.0
        self._settings = settings
        self._prefetcher = None
        if settings.prefetch:
            self._prefetcher = Prefetcher(
                store.claims, engine.get_ready, settings.max_overtake_seconds, models
            )
        self._look_again = 0.0

    def run(self) -> None:
        """Look at the table until told to stop."""
        while not self._stop.raised:
            resting = time.monotonic() < self._rests_until
            claim = None if resting else self._claim()
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
        request = claim.job.request
        texts = (request.prompt, request.final_prompt, request.negative_prompt, request.prompt_template)
        hidden = () if self._settings.log_prompts else (*texts, request.negative_template)
        with about(job=claim.job.id, model=request.model, hidden=hidden):
            self._end(claim)

    def _end(self, claim: Claim) -> None:
        """Run it, and see that the store knows how it ended."""
        job = claim.job
        log.info("job %s: run %d with %s", job.id, claim.attempt, job.request.model)
        if self._settings.log_prompts:
            log.info("job %s: prompt %r, not %r", job.id, job.request.prompt, job.request.negative_prompt)
        reporter = Reporter(self._store.claims, claim, self._stop, partial(self._tell, job.id))
        with heartbeat(
            self._store.claims,
            claim,
            reporter,
            lease=self._lease,
            stall=self._stall,
            on_stall=self._on_stall,
        ):
            with self._prefetching(job.request, reporter):
                write, outcome = self._run(claim, reporter)
            self._tell(None)
            # Runs before this one lost the job: it never names their images.
            discard_runs(self._outputs, job, range(1, claim.attempt))
            self._commit(write, claim, outcome)
        self._trace(claim, reporter.phases, outcome)

    def _prefetching(self, running: GenerationRequest, reporter: Reporter) -> AbstractContextManager[None]:
        if self._prefetcher is None:
            return nullcontext()
        held = self._held.after(running.model, stack_of(running), time.time())
        return self._prefetcher.beside(held, lambda: reporter.drawing)

    def _run(self, claim: Claim, reporter: Reporter) -> Ending:
        job, kept = claim.job, self._pictures
        outputs = OutputFolder(self._outputs, job.id, job.created_at, attempt=claim.attempt)
        try:
            request = self._settled(claim, reporter)
            result = self._engine.run(request, outputs, reporter, kept.content, reporter.check)
            result = with_replay(result, request, self._outputs, kept.content)
        except Exception as error:
            return self._ended_by(error, claim, reporter.seen)
        self._held = self._held.after(request.model, stack_of(request), time.time())
        seen = dataclasses.replace(reporter.seen, out_of_memory=result.out_of_memory)
        return partial(self._store.claims.succeed, claim, result, seen), "succeeded"

    def _ended_by(self, error: Exception, claim: Claim, seen: Seen) -> Ending:
        claims = self._store.claims
        match error:
            case JobCancelled():
                return partial(claims.end_cancelled, claim, seen), "cancelled"
            case JobInterrupted():
                return partial(claims.give_back, claim, seen), f"back in the queue: {error}"
            case LeaseLost():
                return lambda: None, str(error)
            case StorageUnavailable():
                # Any other job would end here too, so nothing is lost by a pause.
                self._rests_until = time.monotonic() + min(2.0**claim.attempt, LONGEST_PAUSE_SECONDS)
                again = partial(claims.try_again, claim, JobFailure.of(error), self._max_attempts, seen)
                return again, f"could not be kept: {error}"
            case OutOfMemory():
                seen = dataclasses.replace(seen, out_of_memory=error.steps)
        if not isinstance(error, EcurieError):
            log.exception("job %s: unexpected error", claim.job.id)
            error = GenerationFailed(
                f"{type(error).__name__}: {error}", remedy="see the server's log for the traceback"
            )
        return partial(claims.fail, claim, JobFailure.of(error), seen), f"failed: {self._shown(error)}"

    def _shown(self, error: EcurieError) -> str:
        """What a client got wrong is told to the client: it may quote a prompt."""
        wrong = isinstance(error, RequestError) and not self._settings.log_prompts
        return error.code if wrong else str(error)

    def _settled(self, claim: Claim, reporter: Reporter) -> GenerationRequest:
        """The job's request, once the files that it waits for are here."""
        request = claim.job.request
        if not request.unsettled and is_placed(request):
            return request
        log.info("job %s: finding or downloading what it needs", claim.job.id)
        # Read now: a catalogue that is broken at the moment stops only such jobs.
        catalog, downloader = make_catalog(self._settings), make_downloader(self._settings)
        try:
            return self._found(claim, reporter, catalog, downloader)
        finally:
            reporter.downloaded = downloader.received

    def _found(
        self, claim: Claim, reporter: Reporter, catalog: Catalog, downloader: Downloader
    ) -> GenerationRequest:
        request = claim.job.request
        if not request.unsettled:
            return run_aside(lambda listen: place(request, catalog, downloader, listen), reporter)
        kept = self._pictures
        pictures = PictureSource(partial(settle_picture, pictures=kept), read=kept.content)
        most = self._settings.max_pixels
        request = run_aside(
            lambda listen: settle(request, catalog, downloader, most, listen, pictures), reporter
        )
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
                discard_runs(self._outputs, claim.job, [claim.attempt])
            except OperationalError as error:
                log.error("job %s: the outcome cannot be written: %s", claim.job.id, error.orig)
                if not self._stop.overdue:
                    time.sleep(RETRY_SECONDS)
                    continue
            else:
                log.info("job %s: %s", claim.job.id, outcome)
            return
