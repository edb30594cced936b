"""What responses look like."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel

from ecurie.domain import ImageFile, Job, JobState
from ecurie.requests import describe


class ProgressOut(BaseModel):
    phase: str
    step: int
    total: int


class FailureOut(BaseModel):
    code: str
    message: str
    remedy: str | None = None


class ImageOut(BaseModel):
    """`metadata` is the request that makes this very image alone."""

    url: str
    filename: str
    seed: int
    width: int
    height: int
    metadata: dict[str, Any]


class ResultOut(BaseModel):
    """`prompt` is what the text encoders got; `timings` are in seconds."""

    images: list[ImageOut]
    prompt: str
    report: dict[str, Any]
    timings: dict[str, float]


class JobOut(BaseModel):
    id: str
    status_url: str
    state: JobState
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    queue_position: int | None
    progress: ProgressOut
    request: dict[str, Any]
    result: ResultOut | None
    error: FailureOut | None


class JobsOut(BaseModel):
    jobs: list[JobOut]


def job_out(job: Job) -> JobOut:
    failure = job.failure
    return JobOut(
        id=job.id,
        status_url=f"/jobs/{job.id}",
        state=job.state,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        attempts=job.attempts,
        queue_position=job.queue_position,
        progress=ProgressOut(phase=job.progress.phase, step=job.progress.step, total=job.progress.total),
        request=describe(job.request),
        result=result_out(job),
        error=failure and FailureOut(code=failure.code, message=failure.message, remedy=failure.remedy),
    )


def result_out(job: Job) -> ResultOut | None:
    if job.result is None:
        return None
    timings, setup = job.result.timings, job.result.setup
    queue = (job.started_at - job.created_at).total_seconds() if job.started_at else 0.0
    return ResultOut(
        images=[image_out(job, image) for image in job.result.images],
        prompt=job.request.final_prompt,
        report={
            "adapters": [asdict(report) for report in job.result.report.adapters],
            "weights_written": job.result.report.weights_written,
            "read": round(job.result.report.read, 4),
            "patch": round(job.result.report.patch, 4),
            "device": setup.device,
            "dtype": setup.dtype,
            "scheduler": setup.scheduler,
            "versions": setup.versions,
        },
        timings={
            "queue": round(queue, 4),
            **{name: round(getattr(timings, name), 4) for name in timings.__dataclass_fields__},
        },
    )


def image_out(job: Job, image: ImageFile) -> ImageOut:
    return ImageOut(
        url=f"/outputs/{quote(image.filename)}",
        filename=image.filename,
        seed=image.seed,
        width=image.width,
        height=image.height,
        metadata=describe(job.request) | {"seed": image.seed, "num_images": 1},
    )


class ModelOut(BaseModel):
    """`unavailable` is None, or why the model cannot be used and what to do."""

    id: str
    name: str
    default: bool
    default_negative: str
    prompt_prefix: str
    size: tuple[int, int] | None
    clip_skip: int
    supported_loras: list[str]
    license: str | None
    unavailable: str | None


class ModelsOut(BaseModel):
    models: list[ModelOut]


class LoraOut(BaseModel):
    id: str
    name: str
    kind: str
    default_weight: float
    trigger_words: list[str]
    license: str | None
    unavailable: str | None


class LorasOut(BaseModel):
    loras: list[LoraOut]


class SchedulerOut(BaseModel):
    id: str
    label: str
    max_steps: int


class SchedulersOut(BaseModel):
    schedulers: list[SchedulerOut]


class SystemOut(BaseModel):
    version: str
    workers: list[dict[str, Any]]
    jobs: dict[str, int]
    catalogue_error: str | None
