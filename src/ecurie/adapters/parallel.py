"""Many small tasks on the CPU, each on one core.

A task's blocks stay in its core's cache, and no core waits for the other within a task, as torch's own
threads do after each operation: beside another busy process those waits cost ten times the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

Check = Callable[[], None]
"""Called often while work goes on, in the thread that asked for it; raises what is to stop the work."""
CHECK_SECONDS = 0.2


def go_on() -> None:
    """The check of work that nobody stops."""


def run_all(tasks: Iterable[Callable[[], None]], at_most: int | None = None, check: Check = go_on) -> None:
    """Run the tasks on as many threads as torch may use (`at_most` so many), and wait for them.

    Raises the first error of a task, or of `check`; tasks that have not begun then are left out.
    """
    allowed = torch.get_num_threads()
    threads = min(allowed, at_most or allowed)
    if threads == 1:
        for task in tasks:
            check()
            task()
        return
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(threads, "patch", initializer=_one_thread)
    try:
        for future in [pool.submit(task) for task in tasks]:
            _wait_for(future, check)
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(allowed)


def _wait_for(future: Future[None], check: Check) -> None:
    while not wait([future], CHECK_SECONDS).done:
        check()


def _one_thread() -> None:
    # The limit of OpenMP's threads belongs to the calling thread.
    torch.set_num_threads(1)
