"""How long a passing fault is waited out."""

from __future__ import annotations

from collections.abc import Callable

from ecurie.errors import DownloadFailed

TRIES = 5
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 120.0

Pause = Callable[[float], None]


class Passing(DownloadFailed):
    """A fault that may be over after `seconds`; None: nobody said when."""

    def __init__(self, message: str, seconds: float | None = None):
        super().__init__(message, remedy="run it again later: it resumes")
        self.seconds = seconds


class Patience:
    """Ends after some faults in a row, or at once when a server asks for too long a pause."""

    def __init__(self, pause: Pause):
        self._pause, self._faults = pause, 0

    def wait(self, fault: Passing, *, progressed: bool = False) -> None:
        """Pause before the next try. Raises the fault when there should be none."""
        self._faults = 1 if progressed else self._faults + 1
        seconds = FIRST_PAUSE_SECONDS * 2.0 ** (self._faults - 1) if fault.seconds is None else fault.seconds
        if self._faults >= TRIES or seconds > LONGEST_PAUSE_SECONDS:
            raise fault
        self._pause(seconds)
