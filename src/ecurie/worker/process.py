"""The worker process. It stops when told to (SIGTERM: the running job may finish within the drain time, else
it goes back to the queue) and when its parent is gone (its standard input, a pipe from the parent, ends).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ecurie.bootstrap import configure_logging, make_catalog, make_engine, make_store, preloaded
from ecurie.errors import OutOfMemory, RequestError, SetupError
from ecurie.locks import ProcessLock
from ecurie.settings import load_settings
from ecurie.supervisor import CANNOT_START
from ecurie.worker.loop import Worker
from ecurie.worker.stop import StopSign

if TYPE_CHECKING:
    from ecurie.engine.engine import Engine

log = logging.getLogger(__name__)


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
        engine = make_engine(settings, previews=settings.previews)
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
