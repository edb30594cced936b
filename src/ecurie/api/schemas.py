"""What responses look like."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ecurie.api.links import Links
from ecurie.api.replay_schemas import ReplayOut
from ecurie.domain import ImageFile, Job, JobState, Preview, PriorityName, Progress
from ecurie.images.uploads import Upload
from ecurie.jobs.estimates import Times
from ecurie.jobs.workers import WorkerRow
from ecurie.requests.describe import describe

UNKNOWN = Times()


class ProgressOut(BaseModel):
    """`bytes_done` and `bytes_total` are those of a download; null: none, or not told yet."""

    phase: str
    step: int
    total: int
    bytes_done: int | None = None
    bytes_total: int | None = None


def progress_out(progress: Progress) -> ProgressOut:
    values = {name: getattr(progress, name) for name in ProgressOut.model_fields}
    return ProgressOut(**values)


class PreviewOut(BaseModel):
    """`image` is a WebP picture as a data URI, of what was drawn after `step`."""

    step: int
    image: str


def preview_out(preview: Preview) -> PreviewOut:
    return PreviewOut(step=preview.step, image=f"data:image/webp;base64,{b64encode(preview.image).decode()}")


class QueueOut(BaseModel):
    """As in the job."""

    position: int | None
    estimated_start: datetime | None


def queue_out(job: Job, times: Times) -> QueueOut:
    return QueueOut(position=job.queue_position, estimated_start=_moment(times.start))


class FailureOut(BaseModel):
    code: str
    message: str
    remedy: str | None = None


def failure_out(job: Job) -> FailureOut | None:
    return FailureOut(**asdict(job.failure)) if job.failure else None


class ImageOut(BaseModel):
    """`metadata` is the request that makes this very image alone."""

    url: str
    thumbnail_url: str
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
    replay: ReplayOut | None = None


class JobOut(BaseModel):
    id: str
    owner: str = Field(description="The id of the API key that sent it; '' where none was needed")
    status_url: str
    state: JobState
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    priority: PriorityName
    attempts: int
    queue_position: int | None = Field(description="1 is next, by priority and arrival; null: not queued")
    estimated_start: datetime | None = Field(
        description="Of a queued job, from the times of recent ones; null: not known"
    )
    estimated_end: datetime | None = Field(
        description="Of a queued or running job; null: not known, or it has ended"
    )
    progress: ProgressOut
    preview: str | None = Field(
        description="While it runs, what it draws: a small WebP picture as a data URI; null in lists"
    )
    request: dict[str, Any]
    result: ResultOut | None
    error: FailureOut | None


class JobChange(BaseModel):
    """The body of `PATCH /jobs/{id}`."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"priority": "interactive"}]}
    )

    priority: PriorityName


class JobsOut(BaseModel):
    jobs: list[JobOut]


def job_out(job: Job, links: Links, times: Times = UNKNOWN) -> JobOut:
    preview = job.progress.preview
    return JobOut(
        id=job.id,
        owner=job.owner,
        status_url=f"/jobs/{job.id}",
        state=job.state,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        priority=job.priority.label,
        attempts=job.attempts,
        queue_position=job.queue_position,
        estimated_start=_moment(times.start) if job.state is JobState.QUEUED else None,
        estimated_end=_moment(times.end),
        preview=preview and preview_out(preview).image,
        progress=progress_out(job.progress),
        request=describe(job.request),
        result=result_out(job, links),
        error=failure_out(job),
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def result_out(job: Job, links: Links) -> ResultOut | None:
    if job.result is None:
        return None
    timings, setup = job.result.timings, job.result.setup
    queue = (job.started_at - job.created_at).total_seconds() if job.started_at else 0.0
    return ResultOut(
        images=[image_out(job, image, links) for image in job.result.images],
        prompt=job.request.final_prompt,
        report={
            "adapters": [asdict(report) for report in job.result.report.adapters],
            "ip_adapter": job.result.ip_adapter and asdict(job.result.ip_adapter),
            "embeddings": [asdict(report) for report in job.result.report.embeddings],
            "prompt_cached": job.result.report.prompt_cached,
            "prompt_syntax": job.request.prompt_syntax,
            "prompt_template": job.request.prompt_template or None,
            "negative_template": job.request.negative_template or None,
            "memory_step": setup.memory_step,
            "warnings": list(job.result.warnings),
            "weights_written": job.result.report.weights_written,
            "read": round(job.result.report.read, 4),
            "compute": round(job.result.report.compute, 4),
            "restore": round(job.result.report.restore, 4),
            "device": setup.device,
            "dtype": setup.dtype,
            "scheduler": setup.scheduler,
            "versions": setup.versions,
        },
        timings={
            "queue": round(queue, 4),
            **{name: round(getattr(timings, name), 4) for name in timings.__dataclass_fields__},
        },
        replay=job.result.replay and ReplayOut(**asdict(job.result.replay)),
    )


def image_out(job: Job, image: ImageFile, links: Links) -> ImageOut:
    return ImageOut(
        url=links.image(image.filename),
        thumbnail_url=links.thumbnail(image.filename),
        filename=image.filename,
        seed=image.seed,
        width=image.width,
        height=image.height,
        metadata=alone(job, image),
    )


def alone(job: Job, image: ImageFile) -> dict[str, Any]:
    """The request that makes this image alone."""
    return describe(job.request) | {"seed": image.seed, "num_images": 1}


class PictureOut(BaseModel):
    """A picture that was sent; `width` and `height` as it is seen, after its EXIF orientation."""

    id: str
    url: str
    format: str
    width: int
    height: int
    bytes: int
    sha256: str


def picture_out(upload: Upload) -> PictureOut:
    return PictureOut(
        id=upload.use.id,
        url=f"/images/{upload.use.id}",
        format=upload.format,
        width=upload.width,
        height=upload.height,
        bytes=upload.bytes,
        sha256=upload.use.sha256,
    )


class ModelOut(BaseModel):
    """`unavailable` is None, or why the model cannot be used and what to do; `downloaded` is false for one
    whose files the first job that names it downloads."""

    id: str
    name: str
    default: bool
    default_negative: str
    prompt_prefix: str
    size: tuple[int, int] | None
    clip_skip: int
    supported_loras: list[str]
    license: str | None
    downloaded: bool
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
    downloaded: bool
    unavailable: str | None


class LorasOut(BaseModel):
    loras: list[LoraOut]


class PresetOut(BaseModel):
    id: str
    name: str
    steps: int | None
    guidance_scale: float | None
    scheduler: str | None
    loras: list[dict[str, Any]]


class PresetsOut(BaseModel):
    presets: list[PresetOut]


class IpAdapterOut(BaseModel):
    id: str
    name: str
    license: str | None
    downloaded: bool
    unavailable: str | None


class IpAdaptersOut(BaseModel):
    ip_adapters: list[IpAdapterOut]


class SchedulerOut(BaseModel):
    id: str
    label: str
    max_steps: int


class SchedulersOut(BaseModel):
    schedulers: list[SchedulerOut]


def worker_out(worker: WorkerRow) -> dict[str, Any]:
    """What it says of itself, its memory's fields beside the others."""
    told = asdict(worker)
    rung_for = told.pop("rung_for")
    for name in ("started_at", "seen_at"):
        told[name] = datetime.fromtimestamp(told[name], UTC).isoformat(timespec="seconds")
    state = "idle" if worker.idle else "busy"
    return {**told.pop("memory"), **told, "state": state, "serves": rung_for}


def worker_for_users(worker: WorkerRow) -> dict[str, Any]:
    told = worker_out(worker)
    models = [{"id": model["id"]} for model in told["models"]]
    return {"state": told["state"], "device": told["device"], "serves": told["serves"], "models": models}


class SystemOut(BaseModel):
    version: str
    workers: list[dict[str, Any]]
    jobs: dict[str, int]
    catalogue_error: str | None
