"""Traces by OpenTelemetry, sent to a collector by OTLP over HTTP. Imported only where one is named.

`provider` is for FastAPI, which makes the spans of requests itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import ecurie

W3C = TraceContextTextMapPropagator()
Stretch = tuple[str, float, float]
"""A name, and from when to when, in seconds since 1970."""


class Tracing:
    """`endpoint` is the collector's address; None: OpenTelemetry's own variables name it. `attributes` are of
    all that this process sends, `service` its name."""

    def __init__(self, endpoint: str | None, service: str, attributes: Mapping[str, str]):
        own = {"service.name": service, "service.version": ecurie.__version__, **_named_ours(attributes)}
        # What the environment says (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) goes before our own.
        resource = Resource.create(own).merge(OTELResourceDetector().detect())
        self.provider = TracerProvider(resource=resource)
        address = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
        self.provider.add_span_processor(_NoQuery())
        self.provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=address)))
        self._tracer = self.provider.get_tracer("ecurie", ecurie.__version__)

    def close(self) -> None:
        """Send what was not sent yet."""
        self.provider.shutdown()

    @contextmanager
    def span(self, name: str, attributes: Mapping[str, str]) -> Iterator[None]:
        """Within the one that is open. An error that leaves it is not told here: it may quote a prompt."""
        with self._tracer.start_as_current_span(
            name,
            attributes=_named_ours(attributes),
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield

    def traceparent(self) -> str:
        carrier: dict[str, str] = {}
        W3C.inject(carrier)
        return carrier.get("traceparent", "")

    def job(
        self,
        traceparent: str,
        stretches: Sequence[Stretch],
        attributes: Mapping[str, str],
        *,
        failed: bool = False,
    ) -> None:
        """A span over all the stretches, and one for each."""
        parent = W3C.extract({"traceparent": traceparent}) if traceparent else Context()
        began, ended = stretches[0][1], stretches[-1][2]
        whole = self._tracer.start_span(
            "job", parent, SpanKind.CONSUMER, _named_ours(attributes), start_time=_nanoseconds(began)
        )
        within = set_span_in_context(whole, parent)
        for name, start, end in stretches:
            self._tracer.start_span(name, within, start_time=_nanoseconds(start)).end(_nanoseconds(end))
        if failed:
            whole.set_status(Status(StatusCode.ERROR))
        whole.end(_nanoseconds(ended))


class _NoQuery(SpanProcessor):
    """What stands behind the `?` of a request may be words of a prompt, or a signature."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if "url.query" in (span.attributes or {}):
            span.set_attribute("url.query", "REDACTED")


def _named_ours(attributes: Mapping[str, str]) -> dict[str, str]:
    return {f"ecurie.{name}": value for name, value in attributes.items()}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
