"""What the server says, as JSON, with names for type checkers; docs/api.md describes every field.

Moments are texts in ISO 8601. Fields that a newer server adds are there too, without a name here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypeAlias, TypedDict

if TYPE_CHECKING:
    import PIL.Image

    from ecurie.client.handles import PictureCalls

State = Literal["queued", "preparing", "running", "succeeded", "failed", "cancelled"]
Priority = Literal["interactive", "normal", "batch"]
Value = str | bool | int | float | None

Picture: TypeAlias = "str | os.PathLike[str] | bytes | PIL.Image.Image | PictureCalls"
"""A picture of a request: a file here (its path, or its bytes), a Pillow image, one that was made before
(an image of a result, `Client.output`), or a text that the server knows: an upload's id, an output's name,
base64 or a data URI."""


class Lora(TypedDict, total=False):
    """One adapter of a stack; `unet` and `text_encoder` stand instead of `weight`."""

    name: str
    weight: float
    unet: float
    text_encoder: float
    blocks: Sequence[float] | Mapping[str, float]
    strict: bool


class Hires(TypedDict, total=False):
    scale: float
    width: int
    height: int
    steps: int
    strength: float
    upscaler: Literal["lanczos", "latent"]


class Fields(TypedDict, total=False):
    """A request besides its prompt: the fields of `POST /generate`."""

    prompt_syntax: Literal["auto", "compel", "a1111"]
    wildcards: bool
    negative_prompt: str | None
    model: str | None
    preset: str | None
    loras: Sequence[Lora]
    steps: int
    guidance_scale: float
    seed: int | None
    width: int | None
    height: int | None
    num_images: int
    init_image: Picture | None
    strength: float | None
    resize: Literal["crop", "stretch"] | None
    mask: Picture | None
    mask_blur: float | None
    hires: Hires | None
    scheduler: str
    clip_skip: int | None
    prediction_type: Literal["epsilon", "v_prediction"] | None
    zero_snr: bool | None
    guidance_rescale: float | None
    accelerate: Literal["none", "attention-cache", "guidance-cutoff"]
    reference_images: Sequence[Picture]
    ip_strength: float | None
    ip_adapter: str | None
    inject_triggers: bool
    prompt_prefix: bool
    format: Literal["png", "webp", "jpeg"]
    quality: int
    metadata: bool
    priority: Priority


class Axis(TypedDict):
    """What varies in a sweep: a field, `lora:NAME` or `prompt_replace`."""

    field: str
    values: Sequence[Value]


class ModelInfo(TypedDict):
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


class LoraInfo(TypedDict):
    id: str
    name: str
    kind: str
    default_weight: float
    trigger_words: list[str]
    license: str | None
    downloaded: bool
    unavailable: str | None


class PresetInfo(TypedDict):
    id: str
    name: str
    steps: int | None
    guidance_scale: float | None
    scheduler: str | None
    loras: list[Lora]


class SchedulerInfo(TypedDict):
    id: str
    label: str
    max_steps: int


class SystemInfo(TypedDict):
    version: str
    workers: list[dict[str, Any]]
    jobs: dict[str, int]
    catalogue_error: str | None


class UploadInfo(TypedDict):
    """`id` stands for the picture in requests."""

    id: str
    url: str
    format: str
    width: int
    height: int
    bytes: int
    sha256: str


class ProgressInfo(TypedDict):
    phase: str
    step: int
    total: int
    bytes_done: NotRequired[int | None]
    bytes_total: NotRequired[int | None]


class ImageInfo(TypedDict):
    url: str
    thumbnail_url: str
    filename: str
    seed: int
    width: int
    height: int
    metadata: dict[str, Any]


class ReplayInfo(TypedDict):
    identical_bytes: bool | None
    identical_pixels: bool | None
    max_difference: int | None
    mean_difference: float | None
    differing: list[dict[str, str | None]]


class ResultInfo(TypedDict):
    images: list[ImageInfo]
    prompt: str
    report: dict[str, Any]
    timings: dict[str, float]
    replay: ReplayInfo | None


class FailureInfo(TypedDict):
    code: str
    message: str
    remedy: str | None


class JobInfo(TypedDict):
    id: str
    owner: str
    status_url: str
    state: State
    created_at: str
    started_at: str | None
    finished_at: str | None
    priority: Priority
    attempts: int
    queue_position: int | None
    estimated_start: str | None
    estimated_end: str | None
    progress: ProgressInfo
    preview: str | None
    request: dict[str, Any]
    result: ResultInfo | None
    error: FailureInfo | None


class CellInfo(TypedDict):
    x: int
    y: int
    job_id: str
    status_url: str
    state: State
    image: ImageInfo | None
    error: FailureInfo | None


class SweepInfo(TypedDict):
    id: str
    status_url: str
    grid_url: str
    state: State
    counts: dict[str, int]
    created_at: str
    request: dict[str, Any]
    x: Axis
    y: Axis | None
    cells: list[CellInfo]
