"""What came out of a job, and how: images, times, reports."""

from __future__ import annotations

from dataclasses import dataclass, field


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
class ModelFile:
    """A file that gave weights to a part of the model (`unet`, `vae`, …)."""

    part: str
    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Setup:
    """What made an image besides the request: needed to make it again.

    `memory_step` is that of the memory ladder; decoding in tiles changes pixels a little. `files` are the
    model's, by part and name; `configuration` is the SHA-256 of what says how they are used.
    """

    device: str
    dtype: str
    scheduler: str
    versions: dict[str, str]
    memory_step: str = ""
    files: tuple[ModelFile, ...] = ()
    configuration: str = ""

    def file_of(self, part: str) -> ModelFile | None:
        return next((file for file in self.files if file.part == part), None)


@dataclass(frozen=True, slots=True)
class Unmatched:
    """What was left out of an adapter that is applied with `strict` off: how much, and the first of each.

    `keys` have no module in this model; `modules` lack a tensor or have another shape, with the reason.
    """

    keys: int
    first_keys: tuple[str, ...]
    modules: int
    first_modules: tuple[str, ...]


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
    read: float
    blocks: dict[str, float] = field(default_factory=dict)
    unmatched: Unmatched | None = None
    embeddings: tuple[str, ...] = ()
    triggers_from: str = ""


@dataclass(frozen=True, slots=True)
class EmbeddingReport:
    """An embedding of a file of its own that was used."""

    name: str
    sha256: str
    auto_v3: str
    vectors: int


@dataclass(frozen=True, slots=True)
class StackReport:
    """The stack of a job; `weights_written` is 0 when the model held it already.

    `prompt_cached`: both prompts were encoded before, by the same text encoders.

    Times in seconds: `read` is 0 for files that are in memory still, `compute` that of patching, `restore`
    that of giving weights of the last stack their base values.
    """

    adapters: tuple[AdapterReport, ...] = ()
    weights_written: int = 0
    read: float = 0.0
    compute: float = 0.0
    restore: float = 0.0
    embeddings: tuple[EmbeddingReport, ...] = ()
    prompt_cached: bool = False


@dataclass(frozen=True, slots=True)
class IpAdapterReport:
    """What read the references, and how strongly: `layers` are the cross-attentions that it added to, each
    reference is `tokens` there. Seconds: `read` for its file, `encode` for looking at the pictures; next to
    nothing where that is in memory still."""

    name: str
    sha256: str
    kind: str
    strength: float
    references: int
    layers: int
    tokens: int
    read: float
    encode: float


@dataclass(frozen=True, slots=True)
class Difference:
    """A value of the manifest that is not what it was; None where there is none."""

    what: str
    then: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Replay:
    """How an image that was made again compares with the original; None where no original was given, or one
    of another size. Differences are of the channels' values, 0 to 255."""

    identical_bytes: bool | None
    identical_pixels: bool | None
    max_difference: int | None
    mean_difference: float | None
    differing: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class JobResult:
    """`warnings` are what the user should know of how the images were made. `model_read`: the model was not
    in memory. `out_of_memory` are the steps of the memory ladder that failed before."""

    images: tuple[ImageFile, ...]
    setup: Setup
    timings: Timings
    report: StackReport = StackReport()
    warnings: tuple[str, ...] = ()
    ip_adapter: IpAdapterReport | None = None
    replay: Replay | None = None
    model_read: bool = False
    out_of_memory: tuple[str, ...] = ()
