"""The frozen types that flow through Écurie, from a checked request to its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ecurie.errors import EcurieError


class JobState(StrEnum):
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
HELD_STATES = frozenset({JobState.PREPARING, JobState.RUNNING})


@dataclass(frozen=True, slots=True)
class AdapterUse:
    """One adapter of a request's stack: its file, and the weight of the UNet's and the text encoders' part.

    `triggers` are the words that it put into the prompt, `warnings` what its user should know.
    """

    name: str
    file: str
    sha256: str
    auto_v3: str
    unet: float
    text_encoder: float
    triggers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A request that has been checked: every default filled in, the seed drawn, the model's place resolved.

    `prompt` is what the client typed, `final_prompt` what the text encoders get. `model_path` is the
    diffusers folder. `clip_skip` counts as the web UIs do: 1 is the last layer, 2 the one before it (SDXL's
    own choice). Image k uses `seed + k`.
    """

    prompt: str
    final_prompt: str
    negative_prompt: str
    model: str
    model_path: str
    adapters: tuple[AdapterUse, ...]
    steps: int
    guidance_scale: float
    seed: int
    width: int
    height: int
    num_images: int
    scheduler: str
    clip_skip: int
    prompt_prefix: bool = True
    inject_triggers: bool = True
    ip_strength: float = 0.0

    def seed_of(self, index: int) -> int:
        return (self.seed + index) % SEED_LIMIT


SEED_LIMIT = 2**32


@dataclass(frozen=True, slots=True)
class Progress:
    """`step` of `total` denoising steps, over all images of the request."""

    phase: str
    step: int
    total: int


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds a worker spent; `prepare` is checking files, `switch` making the model ready."""

    prepare: float = 0.0
    switch: float = 0.0
    encode: float = 0.0
    denoise: float = 0.0
    decode: float = 0.0
    save: float = 0.0


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A finished image: `filename` under the outputs folder."""

    filename: str
    seed: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Setup:
    """What made an image besides the request: needed to make it again."""

    device: str
    dtype: str
    scheduler: str
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """What one adapter of the stack was and did: proof that it was applied whole."""

    name: str
    sha256: str
    naming: str
    algorithms: dict[str, int]
    ranks: dict[int, int]
    modules: int
    unet: float
    text_encoder: float
    triggers: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StackReport:
    """The stack of a job; `weights_written` is 0 when the model held it already. Times in seconds."""

    adapters: tuple[AdapterReport, ...] = ()
    weights_written: int = 0
    read: float = 0.0
    patch: float = 0.0


@dataclass(frozen=True, slots=True)
class JobResult:
    images: tuple[ImageFile, ...]
    setup: Setup
    timings: Timings
    report: StackReport = StackReport()


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job ended without a picture, for people (`message`, `remedy`) and programs (`code`)."""

    code: str
    message: str
    remedy: str | None = None

    @classmethod
    def of(cls, error: EcurieError) -> JobFailure:
        return cls(error.code, str(error), error.remedy)


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    state: JobState
    request: GenerationRequest
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = 0
    queue_position: int | None = None
    progress: Progress = field(default_factory=lambda: Progress("queued", 0, 0))
    result: JobResult | None = None
    failure: JobFailure | None = None
