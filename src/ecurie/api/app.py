"""The FastAPI application, put together from a service."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from fastapi import FastAPI

import ecurie
from ecurie.api import page
from ecurie.api.a1111 import errors as a1111_errors
from ecurie.api.a1111 import list_routes as a1111_lists
from ecurie.api.a1111 import routes as a1111
from ecurie.api.a1111.running import Running
from ecurie.api.errors import ERROR_RESPONSES, SHAPES, add_error_handlers
from ecurie.api.following import Following
from ecurie.api.guards import Guard
from ecurie.api.routes import catalogue, gallery, generate, jobs, pictures, prompt, replay, system
from ecurie.api.routes import sweeps as sweep_routes
from ecurie.finished import FinishedImages
from ecurie.jobs.client_options import ClientOptions
from ecurie.jobs.forecasts import Forecasts
from ecurie.service import Service
from ecurie.sweeps import Sweeps


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
) -> FastAPI:
    app = FastAPI(
        title="Écurie",
        version=ecurie.__version__,
        description="Image generation with SDXL-family checkpoints and adapter stacks.",
        responses=ERROR_RESPONSES,
        # The usual documentation pages load their scripts from elsewhere; this server asks nothing of others.
        docs_url=None,
        redoc_url=None,
    )
    app.state.service, app.state.sweeps = service, Sweeps(service)
    app.state.finished = FinishedImages(service)
    app.state.following = Following(service.changed_of)
    app.state.stopping = stopping
    app.state.forecasts = forecasts
    app.state.client_options, app.state.running = ClientOptions(service.store.database), Running()
    app.state.app_id = secrets.randbits(53)
    SHAPES["/sdapi/"] = SHAPES["/internal/"] = a1111_errors.error_answer
    add_error_handlers(app)
    for routes in (generate, jobs, gallery, pictures, replay, sweep_routes, catalogue, prompt, system, page):
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
    return app
