"""The worker process. It stops when told to (SIGTERM: the running job may finish within the drain time, else
it goes back to the queue) and when its parent is gone (its standard input, a pipe from the parent, ends).
"""

from __future__ import annotations

import logging
import signal
import sys
import threading

from ecurie.bootstrap import make_catalog, make_engine, make_store, make_tracing, preloaded
from ecurie.errors import OutOfMemory, RequestError, SetupError
from ecurie.locks import ProcessLock
from ecurie.logs import configure_logging
from ecurie.settings import load_settings
from ecurie.supervisor import CANNOT_START
from ecurie.worker.job_spans import trace_with
from ecurie.worker.loop import Worker
from ecurie.worker.presence import Presence
from ecurie.worker.stop import StopSign

log = logging.getLogger(__name__)


def main() -> None:
    name = sys.argv[1]
    settings = load_settings()
    configure_logging(settings.log_level, settings.log_format, worker=name)
    lock = ProcessLock(settings.workers_dir / f"{name}.lock")
    if not lock.acquire():
        sys.exit(f"worker {name} is already running")
    stop = StopSign(settings.drain_seconds)
    signal.signal(signal.SIGTERM, stop.on_signal)
    threading.Thread(target=stop.watch_parent, name="parent", daemon=True).start()
    store = make_store(settings)
    try:
        catalog = make_catalog(settings)
        tracing = make_tracing(settings, "ecurie-worker", worker=name)
        engine = make_engine(settings, previews=settings.previews)
        for found in preloaded(settings, catalog):
            engine.preload(found.id, found.checkpoint)
    except (SetupError, RequestError, OutOfMemory) as error:
        log.error("%s; %s", error, error.remedy)
        sys.exit(CANNOT_START)
    presence = Presence(name, store.workers, engine.describe, catalog)
    presence.start()
    log.info("ready on %s", engine.describe()["device"])
    try:
        worker = Worker(name, engine, store, settings, stop, presence.tell, trace=trace_with(tracing))
        worker.run()
    finally:
        presence.close()
        store.close()
        lock.release()
        if tracing is not None:
            tracing.close()
