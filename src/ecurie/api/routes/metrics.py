"""Figures for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from ecurie.api.deps import AdminDep
from ecurie.api.exposition import Exposition

router = APIRouter()
FORMATS: dict[str, Any] = {"text/plain": {}, "application/openmetrics-text": {}}


@router.get("/metrics", response_class=Response, responses={200: {"content": FORMATS}})
def metrics(request: Request, _admin: AdminDep) -> Response:
    """What happened to all jobs, what waits, the workers' memory, this process: in the text format of
    Prometheus, or OpenMetrics where that is asked for. Where keys are needed, an admin's."""
    figures: Exposition = request.app.state.figures
    content, media_type = figures.written(request.headers.get("accept", ""))
    return Response(content, media_type=media_type)
