from __future__ import annotations

import threading
import time

import pytest

from ecurie.domain import Progress
from ecurie.errors import DownloadFailed, JobCancelled
from ecurie.worker.aside import Abandoned, Listener, run_aside

PART = Progress("downloading", 0, 4, 1, 2)


def test_what_the_work_returns_and_tells_is_passed_on() -> None:
    told: list[tuple[Progress, threading.Thread]] = []

    def work(listen: Listener) -> str:
        listen(PART)
        while not told:
            time.sleep(0.01)
        assert threading.current_thread() is not threading.main_thread()
        return "done"

    assert run_aside(work, lambda progress: told.append((progress, threading.current_thread()))) == "done"
    assert set(told) == {(PART, threading.current_thread())}


def test_what_the_work_raises_is_raised() -> None:
    def work(_listen: Listener) -> None:
        raise DownloadFailed("gone")

    with pytest.raises(DownloadFailed, match="gone"):
        run_aside(work, lambda _progress: None)


def test_work_that_waits_for_a_silent_server_is_left_and_stops_at_its_next_word() -> None:
    server_speaks, ended = threading.Event(), threading.Event()

    def work(listen: Listener) -> None:
        listen(PART)
        server_speaks.wait()
        try:
            listen(PART)
        except Abandoned:
            ended.set()
            raise

    def cancel(_progress: Progress) -> None:
        raise JobCancelled("stop")

    began = time.monotonic()
    with pytest.raises(JobCancelled):
        run_aside(work, cancel)
    assert time.monotonic() - began < 5
    assert not ended.is_set()
    server_speaks.set()
    assert ended.wait(10)
