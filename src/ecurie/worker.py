"""The worker process: claims jobs, makes their images, writes the outcome. Started by the supervisor.

It stops when told to (SIGTERM: the running job may finish within the drain time, else it goes back to the
queue) and when its parent is gone (its standard input, a pipe from the parent, ends).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sqlalchemy.exc import OperationalError

from ecurie.bootstrap import (
    configure_logging,
    make_catalog,
    make_downloader,
    make_engine,
    make_pictures,
    make_store,
    preloaded,
)
from ecurie.domain import GenerationRequest, JobFailure, Progress
from ecurie.errors import (
    EcurieError,
    GenerationFailed,
    JobCancelled,
    JobInterrupted,
    LeaseLost,
    OutOfMemory,
    RequestError,
    SetupError,
)
from ecurie.first_use import settle
from ecurie.images.comparing import with_replay
from ecurie.images.files import OutputFolder
from ecurie.jobs.schedule import Held, stack_of
from ecurie.jobs.store import Claim, JobStore
from ecurie.locks import ProcessLock
from ecurie.requests.pictures import PictureSource, settle_picture
from ecurie.settings import Settings, load_settings
from ecurie.supervisor import CANNOT_START

if TYPE_CHECKING:
    from ecurie.engine.engine import Engine

log = logging.getLogger("ecurie.worker")
POLL_SECONDS = 0.02
LOOK_AGAIN_SECONDS = 1.0
REPORT_SECONDS = 0.1
RETRY_SECONDS = 1.0


class StopSign:
    """Raised by SIGTERM (with time to drain) or by the parent's death (without)."""

    def __init__(self, drain_seconds: float):
        self._drain = drain_seconds
        self._deadline: float | None = None

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._deadline is None:
            self._deadline = time.monotonic() + self._drain

    def watch_parent(self) -> None:
        """Blocks until the pipe from the parent ends.

        Reads the descriptor: a thread that waits in `sys.stdin` holds a lock that Python's exit needs.
        """
        while os.read(sys.stdin.fileno(), 1):
            pass
        self._deadline = time.monotonic()

    @property
    def raised(self) -> bool:
        return self._deadline is not None

    @property
    def overdue(self) -> bool:
        return self._deadline is not None and time.monotonic() >= self._deadline


class Worker:
    """`announce` is called when what it has in memory may have changed."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        store: JobStore,
        settings: Settings,
        stop: StopSign,
        announce: Callable[[], None] = lambda: None,
    ):
        self._announce = announce
        self._name, self._engine, self._store, self._stop = name, engine, store, stop
        self._outputs_dir = settings.outputs_dir
        self._stall = settings.stall_seconds
        self._lease, self._max_overtake = settings.lease_seconds, settings.max_overtake_seconds
        self._held = Held()
        self._settings = settings
        self._look_again = 0.0

    def run(self) -> None:
        while not self._stop.raised:
            claim = self._claim()
            if claim is None:
                time.sleep(POLL_SECONDS)
            else:
                self._work(claim)

    def _claim(self) -> Claim | None:
        """The next job. The table is looked at when it was written to, and now and then to be safe."""
        try:
            if not self._store.changed() and time.monotonic() < self._look_again:
                return None
            self._look_again = time.monotonic() + LOOK_AGAIN_SECONDS
            return self._store.claim(
                self._name, self._held, lease_seconds=self._lease, max_overtake=self._max_overtake
            )
        except OperationalError as error:
            log.error("cannot claim a job: %s", error.orig)
            self._look_again = 0.0
            time.sleep(1)
            return None

    def _work(self, claim: Claim) -> None:
        job = claim.job
        log.info("job %s: run %d with %s", job.id, claim.attempt, job.request.model)
        reporter = _Reporter(self._store, claim, self._stop, self._announce)
        with self._heartbeat(claim, reporter):
            write, outcome = self._run(claim, reporter)
            self._announce()
            self._commit(write, claim, outcome)

    def _run(self, claim: Claim, reporter: _Reporter) -> tuple[Callable[[], None], str]:
        """Make the images; returns how the store is told, and a word for the log."""
        job, store = claim.job, self._store
        outputs = OutputFolder(self._outputs_dir, job.id, job.created_at)
        try:
            request = self._settled(claim, reporter)
            result = self._engine.run(request, outputs, reporter)
            result = with_replay(result, request, self._outputs_dir)
        except JobCancelled:
            return lambda: store.end_cancelled(claim), "cancelled"
        except JobInterrupted:
            return lambda: store.give_back(claim), "back in the queue"
        except LeaseLost as error:
            return lambda: None, str(error)
        except EcurieError as error:
            failure = JobFailure.of(error)
            return lambda: store.fail(claim, failure), f"failed: {error}"
        except Exception as error:
            log.exception("job %s: unexpected error", job.id)
            unexpected = GenerationFailed(
                f"{type(error).__name__}: {error}", remedy="see the server's log for the traceback"
            )
            failure = JobFailure.of(unexpected)
            return lambda: store.fail(claim, failure), "failed"
        self._held = self._held.after(request.model, stack_of(request), time.time())
        return lambda: store.succeed(claim, result), "succeeded"

    def _settled(self, claim: Claim, reporter: _Reporter) -> GenerationRequest:
        """The job's request, once the files that it waits for are here."""
        request = claim.job.request
        if not request.unsettled:
            return request
        log.info("job %s: downloading what it needs", claim.job.id)
        # Read now: a catalogue that is broken at the moment stops only such jobs.
        catalog, downloader = make_catalog(self._settings), make_downloader(self._settings)
        pictures = PictureSource(partial(settle_picture, pictures=make_pictures(self._settings)))
        request = settle(request, catalog, downloader, self._settings.max_pixels, reporter, pictures)
        self._store.settle(claim, request, stack_of(request))
        return request

    def _commit(self, write: Callable[[], None], claim: Claim, outcome: str) -> None:
        """Tell the store how the job ended. A store that cannot write now (a full disk) is tried again, with
        the lease kept; another run of the job would fare no better."""
        while True:
            try:
                write()
            except LeaseLost as error:
                log.warning("%s", error)
            except OperationalError as error:
                log.error("job %s: the outcome cannot be written: %s", claim.job.id, error.orig)
                if not self._stop.overdue:
                    time.sleep(RETRY_SECONDS)
                    continue
            else:
                log.info("job %s: %s", claim.job.id, outcome)
            return

    @contextmanager
    def _heartbeat(self, claim: Claim, reporter: _Reporter) -> Iterator[None]:
        """Renews the lease from a thread, so that a long model load keeps it, until the job has stalled."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(self._lease / 3):
                if time.monotonic() - reporter.last_sign > self._stall:
                    log.error(
                        "job %s: no progress for %.0f s, its lease is given up", claim.job.id, self._stall
                    )
                    return
                try:
                    self._store.renew(claim, self._lease)
                except LeaseLost:
                    return
                except OperationalError as error:
                    log.error("cannot renew the lease: %s", error.orig)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


class _Reporter:
    """Passes progress to the store, and stop signs and cancellation to the engine."""

    def __init__(self, store: JobStore, claim: Claim, stop: StopSign, announce: Callable[[], None]):
        self._store, self._claim, self._stop, self._announce = store, claim, stop, announce
        self._phase, self._reported_at = "", 0.0
        self.last_sign = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        self.last_sign = time.monotonic()
        if self._stop.overdue:
            raise JobInterrupted("the worker is stopping")
        now = time.monotonic()
        if progress.phase == self._phase and now - self._reported_at < REPORT_SECONDS:
            self._store.check(self._claim)
            return
        self._store.report(self._claim, progress)
        if progress.phase != self._phase:
            self._announce()
        self._phase, self._reported_at = progress.phase, now


def main() -> None:
    name = sys.argv[1]
    settings = load_settings()
    configure_logging(settings.log_level)
    lock = ProcessLock(settings.workers_dir / f"{name}.lock")
    if not lock.acquire():
        sys.exit(f"worker {name} is already running")
    stop = StopSign(settings.drain_seconds)
    signal.signal(signal.SIGTERM, stop.on_signal)
    threading.Thread(target=stop.watch_parent, name="parent", daemon=True).start()
    store = make_store(settings)
    try:
        engine = make_engine(settings)
        for found in preloaded(settings, make_catalog(settings)):
            engine.preload(found.id, found.checkpoint)
    except (SetupError, RequestError, OutOfMemory) as error:
        log.error("%s; %s", error, error.remedy)
        sys.exit(CANNOT_START)

    def tell() -> None:
        announce(settings.workers_dir / f"{name}.json", engine)

    tell()
    log.info("ready on %s", engine.describe()["device"])
    try:
        Worker(name, engine, store, settings, stop, tell).run()
    finally:
        store.close()
        lock.release()


def announce(file: Path, engine: Engine) -> None:
    """Tell the API that this worker is ready, where it computes, and what it has in memory."""
    partial = file.with_suffix(".partial")
    try:
        partial.write_text(json.dumps({"pid": os.getpid(), **engine.describe()}))
        partial.replace(file)
    except OSError as error:
        # A full disk must not end a job that may still succeed.
        log.error("cannot tell what is in memory: %s", error)


if __name__ == "__main__":
    main()
