"""Connections of clients that are slow on purpose: those that never finish the head of a request, and those
that do not take the answer.

Bodies have their own time (bodies.py). Nothing limits a connection whose answer is still being made: who
listens to events may stay as long as it reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LONGEST_HEAD_SECONDS = 10.0


class Deadline:
    """Something that happens unless it is called off in time."""

    def __init__(self, seconds: float, act: Callable[[], None]):
        self._seconds, self._act = seconds, act
        self._timer: asyncio.TimerHandle | None = None

    def set(self) -> None:
        """One that is set already stays as it is."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._act)

    def call_off(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def protocol(receive_seconds: float, send_seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's HTTP/1.1, with a time for each head of a request, ten seconds at most, and for the client to
    take a part of the answer."""
    head_seconds = min(receive_seconds, LONGEST_HEAD_SECONDS)

    class PatientProtocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head = Deadline(head_seconds, transport.close)
            # What is written would be waited for at a close.
            self._taken = Deadline(send_seconds, transport.abort)
            self._head.set()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is h11.IDLE:
                self._head.set()
            else:
                self._head.call_off()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._taken.set()

        def resume_writing(self) -> None:
            self._taken.call_off()
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head.call_off()
            self._taken.call_off()
            super().connection_lost(exc)

    return PatientProtocol
