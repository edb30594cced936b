"""When a worker is to stop."""

from __future__ import annotations

import os
import sys
import time
from types import FrameType


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
