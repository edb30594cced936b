"""Records as lines: what a client, a file or another server wrote can neither begin a record of its own nor
command the terminal that shows it."""

from __future__ import annotations

import logging
from types import TracebackType

FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def printable(text: str) -> str:
    """Line breaks, escapes of terminals and signs that nobody sees, spelt out: `\\n`, `\\x1b`, `\\u2028`."""
    return "".join(sign if sign.isprintable() else _spelt(sign) for sign in text)


def _spelt(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


class Lines(logging.Formatter):
    """One line a record; those of a traceback follow it, indented."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = printable(record.message.rstrip("\n"))
        return super().formatMessage(record)

    def formatException(self, ei: Raised) -> str:
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).splitlines())
