"""Figures for Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from ecurie.api.deps import CallerDep
from ecurie.api.exposition import Exposition
from ecurie.domain import Role
from ecurie.errors import Forbidden

router = APIRouter()


@router.get("/metrics", response_class=Response)
def metrics(request: Request, caller: CallerDep, accept: Annotated[str, Header()] = "") -> Response:
    """What happened to all jobs, what waits, the workers' memory, this process: in the text format of
    Prometheus, or OpenMetrics where that is asked for. Where keys are needed, an admin's."""
    if caller.role is not Role.ADMIN:
        raise Forbidden("figures of the whole server are for admins' keys")
    figures: Exposition = request.app.state.figures
    content, media_type = figures.written(accept)
    return Response(content, media_type=media_type)
