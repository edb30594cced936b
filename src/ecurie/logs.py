"""What every record says besides its message: the job that is worked on, its model and the worker; as text or
as JSON, and never a prompt."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from ecurie.log_lines import Lines, Raised, printable

LogFormat = Literal["text", "json"]
SHORTEST_HIDDEN = 4
"""Shorter prompts are not looked for: they say nothing, and stand in every other word."""
TALKATIVE = ("alembic", "httpcore", "httpx", "httpx2", "opentelemetry", "urllib3", "PIL")


@dataclass(frozen=True, slots=True)
class _Subject:
    fields: dict[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()


_subject: ContextVar[_Subject] = ContextVar("subject", default=_Subject())  # noqa: B039 (frozen)


@contextmanager
def about(*, hidden: tuple[str, ...] = (), **fields: str) -> Iterator[None]:
    """Records within carry these fields, and show none of the `hidden` texts."""
    before = _subject.get()
    # Their lines too: a traceback is written line by line.
    texts = {part for text in hidden for part in (text, *text.splitlines()) if len(part) >= SHORTEST_HIDDEN}
    longest_first = tuple(sorted(texts, key=len, reverse=True))
    token = _subject.set(replace(before, fields=before.fields | fields, hidden=longest_first))
    try:
        yield
    finally:
        _subject.reset(token)


def in_this_context(work: Callable[[], None]) -> Callable[[], None]:
    """The same work for another thread, whose records are then about what this one's are."""
    return partial(copy_context().run, work)


class Text(Lines):
    """The fields that the message does not name already stand behind it."""

    def __init__(self, always: dict[str, str]):
        super().__init__()
        self._always = always

    def formatMessage(self, record: logging.LogRecord) -> str:
        message = _hide(record.message)
        fields = self._always | _subject.get().fields
        more = " ".join(f"{name}={value}" for name, value in fields.items() if value not in message)
        record.message = f"{message} [{more}]" if more else message
        return super().formatMessage(record)

    def formatException(self, ei: Raised) -> str:
        return _hide(super().formatException(ei))


class Json(logging.Formatter):
    """One object a line: `time` (UTC), `level`, `logger`, `message`, the fields, perhaps `exception`."""

    def __init__(self, always: dict[str, str]):
        super().__init__()
        self._always = always

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _hide(record.getMessage()),
            **self._always,
            **_subject.get().fields,
        }
        if record.exc_info:
            told["exception"] = _hide(self.formatException(record.exc_info))
        # In ASCII, so that no reader takes a sign of another alphabet for a line break.
        return json.dumps(told)


def _hide(text: str) -> str:
    for secret in _subject.get().hidden:
        for shown in (secret, printable(secret), repr(secret)[1:-1]):
            text = text.replace(shown, "[prompt]")
    return text


def configure_logging(level: str, form: LogFormat = "text", **always: str) -> None:
    """All records of this process go to standard error, one a line; `always` are fields of each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json(always) if form == "json" else Text(always))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    threading.excepthook = _tell_of_thread
    for talkative in TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.WARNING)


def _tell_of_thread(raised: threading.ExceptHookArgs) -> None:
    thread = "?" if raised.thread is None else raised.thread.name
    error = raised.exc_value or raised.exc_type()
    logging.getLogger(__name__).error("thread %s ended by an error", thread, exc_info=error)
