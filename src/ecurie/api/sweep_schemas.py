"""What responses say of sweeps."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from ecurie.api.links import Links
from ecurie.api.schemas import FailureOut, ImageOut, failure_out, image_out
from ecurie.domain import Job, JobState
from ecurie.requests.sweep import AxisBody
from ecurie.sweeps import Sweep


class CellOut(BaseModel):
    """In column `x` and row `y` of the grid, from 0; `image` once it is there."""

    x: int
    y: int
    job_id: str
    status_url: str
    state: JobState
    image: ImageOut | None
    error: FailureOut | None


class SweepOut(BaseModel):
    """`state` is that of the whole: succeeded when every cell has; `counts` are cells by state."""

    id: str
    status_url: str
    grid_url: str
    state: JobState
    counts: dict[str, int]
    created_at: datetime
    request: dict[str, Any]
    x: AxisBody
    y: AxisBody | None
    cells: list[CellOut]


def sweep_out(sweep: Sweep, links: Links) -> SweepOut:
    width = len(sweep.body.x.values)
    return SweepOut(
        id=sweep.id,
        status_url=f"/sweeps/{sweep.id}",
        grid_url=f"/sweeps/{sweep.id}/grid",
        state=sweep.state,
        counts=dict(Counter(job.state.value for job in sweep.jobs)),
        created_at=sweep.created_at,
        request=sweep.body.request.model_dump(mode="json", exclude_unset=True),
        x=sweep.body.x,
        y=sweep.body.y,
        cells=[
            _cell_out(job, number % width, number // width, links) for number, job in enumerate(sweep.jobs)
        ],
    )


def _cell_out(job: Job, x: int, y: int, links: Links) -> CellOut:
    return CellOut(
        x=x,
        y=y,
        job_id=job.id,
        status_url=f"/jobs/{job.id}",
        state=job.state,
        image=image_out(job, job.result.images[0], links) if job.result else None,
        error=failure_out(job),
    )
