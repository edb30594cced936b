"""How far a client's own request is."""

from __future__ import annotations

import io
import time
from base64 import b64encode
from typing import Any

from PIL import Image
from pydantic import BaseModel

from ecurie.api.a1111.running import Asked
from ecurie.domain import Job, JobState
from ecurie.jobs.forecasts import Forecasts


class ProgressOut(BaseModel):
    """`progress` from 0 to 1 of the whole request, `eta_relative` in seconds; `current_image` is base64."""

    progress: float
    eta_relative: float
    state: dict[str, Any]
    current_image: str | None
    textinfo: str | None


class TaskOut(BaseModel):
    """Of a request by its `force_task_id`; `live_preview` is a data URI."""

    active: bool
    queued: bool
    paused: bool = False
    completed: bool
    progress: float | None = None
    eta: float | None = None
    live_preview: str | None = None
    id_live_preview: int = -1
    textinfo: str | None


def progress_out(asked: Asked | None, forecasts: Forecasts, *, with_image: bool) -> ProgressOut:
    """The idle state where there is no request."""
    if asked is None:
        return ProgressOut(
            progress=0.0, eta_relative=0.0, state=_state(None), current_image=None, textinfo=None
        )
    job = asked.current
    preview = job.progress.preview if with_image else None
    return ProgressOut(
        progress=_share(asked),
        eta_relative=_seconds_left(asked, forecasts) or 0.0,
        state=_state(asked),
        current_image=preview and _png(preview.image),
        textinfo=_words(job),
    )


def task_out(asked: Asked | None, ended: bool, seen: int, forecasts: Forecasts) -> TaskOut:
    """`seen` is the preview that the client has already."""
    if asked is None:
        return TaskOut(active=False, queued=False, completed=ended, textinfo="Waiting...")
    job = asked.current
    queued = job.state is JobState.QUEUED and not _steps_done(asked)
    preview = job.progress.preview
    fresh = preview is not None and preview.step != seen
    return TaskOut(
        active=not queued,
        queued=queued,
        completed=False,
        progress=_share(asked),
        eta=_seconds_left(asked, forecasts),
        live_preview=f"data:image/png;base64,{_png(preview.image)}" if preview and fresh else None,
        id_live_preview=preview.step if preview else -1,
        textinfo=_words(job),
    )


def _steps_done(asked: Asked) -> int:
    return sum(_done(job) for job in asked.jobs)


def _done(job: Job) -> int:
    return job.request.total_steps if job.state.ended else job.progress.step


def _share(asked: Asked) -> float:
    return _steps_done(asked) / sum(job.request.total_steps for job in asked.jobs)


def _state(asked: Asked | None) -> dict[str, Any]:
    """`job_count` images, of which `job_no` are there; the steps are those of the next."""
    if asked is None:
        count, number, step, steps, timestamp = 0, 0, 0, 0, "0"
    else:
        steps = asked.current.request.steps_an_image
        count = sum(job.request.num_images for job in asked.jobs)
        number, step = divmod(_steps_done(asked), steps)
        timestamp = f"{asked.jobs[0].created_at:%Y%m%d%H%M%S}"
    return {
        "skipped": asked is not None and asked.skipped,
        "interrupted": asked is not None and asked.interrupted,
        "stopping_generation": False,
        "job": f"scripts_{asked.kind}" if asked else "",
        "job_count": count,
        "job_timestamp": timestamp,
        "job_no": number,
        "sampling_step": step,
        "sampling_steps": steps,
    }


def _seconds_left(asked: Asked, forecasts: Forecasts) -> float | None:
    """Until the last job's end, where that is known."""
    end = forecasts.of(asked.jobs[-1]).end
    return None if end is None else max(0.0, end - time.time())


def _words(job: Job) -> str:
    if job.state is JobState.QUEUED:
        return "Queued" if job.queue_position is None else f"Queued, position {job.queue_position}"
    return job.progress.phase.capitalize()


def _png(image: bytes) -> str:
    """Clients take it for PNG."""
    written = io.BytesIO()
    with Image.open(io.BytesIO(image)) as picture:
        picture.save(written, "PNG")
    return b64encode(written.getvalue()).decode()
