"""Figures of this process's HTTP requests."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class RequestFigures:
    """By route as it is written in the code, so that no client can make up labels."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "ecurie_http_requests",
            "HTTP requests, by route and status; of paths that do not exist, together: none.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "ecurie_http_request_duration_seconds",
            "From a request to the beginning of its answer; with wait, that is the job's end.",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.listeners = Gauge(
            "ecurie_event_listeners", "Clients that follow server-sent events now.", registry=self.registry
        )

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else OTHER
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)
