"""Spans of a trace for code that knows no OpenTelemetry: they do nothing where nobody traces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol


class Tracer(Protocol):
    """`telemetry.Tracing`, of which only the roots know."""

    def span(self, name: str, attributes: Mapping[str, str]) -> AbstractContextManager[None]: ...

    def traceparent(self) -> str: ...


_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


@contextmanager
def traced_by(tracer: Tracer | None) -> Iterator[None]:
    """What is done within is traced, if there is one that does."""
    token = _tracer.set(tracer)
    try:
        yield
    finally:
        _tracer.reset(token)


@contextmanager
def span(name: str, **attributes: str) -> Iterator[None]:
    tracer = _tracer.get()
    if tracer is None:
        yield
        return
    with tracer.span(name, attributes):
        yield


def traceparent() -> str | None:
    """The span that is open now, as W3C writes it (https://www.w3.org/TR/trace-context/)."""
    tracer = _tracer.get()
    return None if tracer is None else tracer.traceparent()
