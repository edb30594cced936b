"""An OpenTelemetry collector on loopback that keeps the spans it is sent."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """Ids in hexadecimal, times in nanoseconds since 1970, attributes of text and whole numbers."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool
    attributes: dict[str, str | int]


class Collector:
    """Serves OTLP over HTTP; to be used with `tests.web.running`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.content = b""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces", self.path
                collector.take(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def take(self, body: bytes) -> None:
        self.content += body
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for one in scope.spans:
                    values = {
                        pair.key: pair.value.string_value or pair.value.int_value for pair in one.attributes
                    }
                    self.spans.append(
                        Span(
                            about["service.name"],
                            one.name,
                            one.trace_id.hex(),
                            one.span_id.hex(),
                            one.parent_span_id.hex(),
                            one.start_time_unix_nano,
                            one.end_time_unix_nano,
                            one.status.code == 2,
                            values,
                        )
                    )
