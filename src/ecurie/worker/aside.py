"""Work that cannot be interrupted, on a thread of its own, so that whoever waits for it can leave at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from typing import TypeVar

from ecurie.domain import Progress
from ecurie.logs import in_this_context

T = TypeVar("T")
Listener = Callable[[Progress], None]
LISTEN_SECONDS = 0.2


class Abandoned(Exception):
    """Nobody waits for the work any more."""


def run_aside(work: Callable[[Listener], T], listen: Listener) -> T:
    """What `work` returns or raises; what it tells is passed on to `listen`, in the calling thread.

    What `listen` raises leaves at once, even while the work waits for a silent server. The work is stopped at
    its next word then, or ends by its own time-out; what it keeps locked stays locked until then.
    """
    told: list[Progress] = []
    left = threading.Event()

    def hear(progress: Progress) -> None:
        if left.is_set():
            raise Abandoned
        told[:] = [progress]

    future: Future[T] = Future()
    fulfil = in_this_context(partial(_fulfil, future, work, hear))
    threading.Thread(target=fulfil, name="aside", daemon=True).start()
    try:
        while not wait([future], LISTEN_SECONDS).done:
            if told:
                listen(told[0])
    except BaseException:
        left.set()
        raise
    return future.result()


def _fulfil(future: Future[T], work: Callable[[Listener], T], hear: Listener) -> None:
    try:
        future.set_result(work(hear))
    except BaseException as error:
        future.set_exception(error)
