"""The FastAPI application, put together from a service."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

import ecurie
from ecurie.access.keys import KeyStore
from ecurie.access.limits import Rates
from ecurie.access.ring import KeyRing
from ecurie.access.signing import Signer, signing_secret
from ecurie.api import page
from ecurie.api.a1111 import list_routes as a1111_lists
from ecurie.api.a1111 import routes as a1111
from ecurie.api.a1111.running import Running
from ecurie.api.admission import Admission
from ecurie.api.description import ERROR_RESPONSES, DescribedApp
from ecurie.api.errors import add_error_handlers
from ecurie.api.exposition import Exposition
from ecurie.api.following import Following
from ecurie.api.guards import Guard
from ecurie.api.observer import Observer
from ecurie.api.openai import routes as openai
from ecurie.api.request_figures import RequestFigures
from ecurie.api.routes import (
    catalogue,
    gallery,
    generate,
    jobs,
    keys,
    metrics,
    pictures,
    prompt,
    replay,
    system,
)
from ecurie.api.routes import sweeps as sweep_routes
from ecurie.finished import FinishedImages
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
    key_always: bool = False,
    wrong_keys_per_minute: int = 10,
    image_link_seconds: int = 3600,
    receive_seconds: float = 120,
    access_log: bool = False,
    tracing: Tracing | None = None,
) -> FastAPI:
    """`api_key` is the server's own, an admin's; `key_always`: also where no key is known, one is needed.

    Raises StoreUnavailable.
    """
    app = DescribedApp(
        title="Écurie",
        version=ecurie.__version__,
        description="Image generation with SDXL-family checkpoints and adapter stacks.",
        # The usual documentation pages load their scripts from elsewhere; this server asks nothing of others.
        docs_url=None,
        redoc_url=None,
        telemetry=_telemetry(tracing),
    )
    app.state.service, app.state.sweeps = service, Sweeps(service)
    app.state.finished = FinishedImages(service)
    app.state.following = Following(service.changed_of)
    database = service.store.database
    app.state.keys = KeyStore(database)
    app.state.ring = KeyRing(app.state.keys, api_key, always=key_always)
    app.state.signer = Signer(signing_secret(database), image_link_seconds)
    app.state.stopping = stopping
    app.state.forecasts = forecasts
    requests = RequestFigures()
    app.state.figures = Exposition(requests, service)
    app.state.client_options, app.state.running = ClientOptions(database), Running()
    app.state.app_id = secrets.randbits(53)
    add_error_handlers(app)
    native = (generate, jobs, gallery, pictures, replay, sweep_routes, catalogue, prompt, system)
    for routes in (*native, keys, metrics):
        app.include_router(routes.router, responses=ERROR_RESPONSES)
    for routes in (page, a1111, a1111_lists, openai):
        app.include_router(routes.router)
    app.add_middleware(
        Guard,
        allowed_hosts=allowed_hosts,
        allowed_origins=allowed_origins,
        admission=Admission(app.state.ring, Rates(wrong_keys_per_minute), app.state.signer),
        max_body_bytes=max_body_bytes,
        max_upload_bytes=max_upload_bytes,
        receive_seconds=receive_seconds,
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
