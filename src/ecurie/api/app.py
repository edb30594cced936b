"""The FastAPI application, put together from a service."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

import ecurie
from ecurie.api.a1111 import errors as a1111_errors
from ecurie.api.a1111 import list_routes as a1111_lists
from ecurie.api.a1111 import routes as a1111
from ecurie.api.a1111.running import Running
from ecurie.api.errors import ERROR_RESPONSES, SHAPES, add_error_handlers
from ecurie.api.exposition import Exposition
from ecurie.api.following import Following
from ecurie.api.guards import Guard
from ecurie.api.observer import Observer
from ecurie.api.request_figures import RequestFigures
from ecurie.api.routes import catalogue, generate, jobs, metrics, pictures, prompt, replay, system
from ecurie.api.routes import sweeps as sweep_routes
from ecurie.jobs.client_options import ClientOptions
from ecurie.jobs.forecasts import Forecasts
from ecurie.service import Service
from ecurie.sweeps import Sweeps

if TYPE_CHECKING:
    from ecurie.telemetry import Tracing

UNTRACED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds by machines."""


def create_app(
    service: Service,
    stopping: Callable[[], bool],
    forecasts: Forecasts,
    *,
    allowed_hosts: Iterable[str],
    allowed_origins: Iterable[str],
    api_key: str | None,
    max_body_bytes: int,
    max_upload_bytes: int,
    access_log: bool = False,
    tracing: Tracing | None = None,
) -> FastAPI:
    app = FastAPI(
        title="Écurie",
        version=ecurie.__version__,
        description="Image generation with SDXL-family checkpoints and adapter stacks.",
        responses=ERROR_RESPONSES,
        # The usual documentation pages load their scripts from elsewhere; this server asks nothing of others.
        docs_url=None,
        redoc_url=None,
        telemetry=_telemetry(tracing),
    )
    app.state.service, app.state.sweeps = service, Sweeps(service)
    app.state.following = Following(service.changed_of)
    app.state.stopping = stopping
    app.state.forecasts = forecasts
    requests = RequestFigures()
    app.state.figures = Exposition(requests, service)
    app.state.client_options, app.state.running = ClientOptions(service.store.database), Running()
    app.state.app_id = secrets.randbits(53)
    SHAPES["/sdapi/"] = SHAPES["/internal/"] = a1111_errors.error_answer
    add_error_handlers(app)
    for routes in (generate, jobs, pictures, replay, sweep_routes, catalogue, prompt, system, metrics):
        app.include_router(routes.router)
    for routes in (a1111, a1111_lists):
        app.include_router(routes.router)
    app.add_middleware(
        Guard,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        api_key=api_key,
        max_body_bytes=max_body_bytes,
        max_upload_bytes=max_upload_bytes,
    )
    # Last, so it is outermost: what the guard refuses is seen too.
    app.add_middleware(Observer, figures=requests, access_log=access_log, tracing=tracing)
    return app


def _telemetry(tracing: Tracing | None) -> TelemetryConfig:
    """Of FastAPI's own: spans of requests where they are wanted, and nothing else, whatever the environment
    says: its log records of errors may hold prompts."""
    return {
        "tracing": tracing is not None,
        "tracer_provider": None if tracing is None else tracing.provider,
        "exclude": lambda scope: scope["path"] in UNTRACED,
        "operation_spans": False,
        "metrics": False,
        "logs": False,
        "auto_configure": False,
    }
