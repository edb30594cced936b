"""Figures for Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from ecurie.api.deps import AdminDep
from ecurie.api.exposition import Exposition

router = APIRouter()


@router.get("/metrics", response_class=Response)
def metrics(request: Request, _admin: AdminDep, accept: Annotated[str, Header()] = "") -> Response:
    """What happened to all jobs, what waits, the workers' memory, this process: in the text format of
    Prometheus, or OpenMetrics where that is asked for. Where keys are needed, an admin's."""
    figures: Exposition = request.app.state.figures
    content, media_type = figures.written(accept)
    return Response(content, media_type=media_type)
