"""Sweeps: one request with one or two fields varied, and the grid of its pictures."""

from __future__ import annotations

import io
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from ecurie.api import sweep_schemas
from ecurie.api.deps import CallerDep, LinksDep, ServiceDep, SweepId
from ecurie.api.schemas import alone
from ecurie.domain import Caller, Job
from ecurie.errors import UnknownOutput
from ecurie.requests.sweep import SweepBody
from ecurie.service import Service
from ecurie.sweeps import CellPicture, Sweeps, draw_sweep

router = APIRouter()


async def get_sweeps(request: Request) -> Sweeps:
    sweeps: Sweeps = request.app.state.sweeps
    return sweeps


SweepsDep = Annotated[Sweeps, Depends(get_sweeps)]


@router.post("/sweeps", status_code=202)
def submit_sweep(
    body: SweepBody, sweeps: SweepsDep, caller: CallerDep, links: LinksDep, response: Response
) -> sweep_schemas.SweepOut:
    """Queue one job for each cell, all or none, in the order that switches least."""
    sweep = sweeps.submit(body, caller)
    response.headers["Location"] = f"/sweeps/{sweep.id}"
    return sweep_schemas.sweep_out(sweep, links)


@router.get("/sweeps/{sweep_id}")
def get_sweep(
    sweep_id: SweepId, sweeps: SweepsDep, caller: CallerDep, links: LinksDep
) -> sweep_schemas.SweepOut:
    return sweep_schemas.sweep_out(sweeps.get(sweep_id, caller), links)


@router.delete("/sweeps/{sweep_id}")
def cancel_sweep(
    sweep_id: SweepId, sweeps: SweepsDep, caller: CallerDep, links: LinksDep
) -> sweep_schemas.SweepOut:
    """Cancel the cells that have not ended."""
    return sweep_schemas.sweep_out(sweeps.cancel(sweep_id, caller), links)


@router.get(
    "/sweeps/{sweep_id}/grid",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The grid as it is now"}},
)
def sweep_grid(sweep_id: SweepId, sweeps: SweepsDep, caller: CallerDep, service: ServiceDep) -> Response:
    """A PNG of the labelled grid; cells without a picture say why. What made each cell is inside."""
    sweep = sweeps.get(sweep_id, caller)
    picture, text = draw_sweep(sweep.body, [_cell_picture(job, service, caller) for job in sweep.jobs])
    content = io.BytesIO()
    picture.save(content, format="PNG", pnginfo=text)
    return Response(content.getvalue(), media_type="image/png", headers={"Cache-Control": "no-store"})


def _cell_picture(job: Job, service: Service, caller: Caller) -> CellPicture:
    if job.result is None:
        return CellPicture(None, job.state.value)
    image = job.result.images[0]
    try:
        return CellPicture(service.read_output(image.filename, caller), made_by=alone(job, image))
    except UnknownOutput:
        return CellPicture(None, "its file is gone")
