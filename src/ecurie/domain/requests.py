"""A request that has been checked, and what it uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Syntax = Literal["compel", "a1111"]
"""Of a prompt."""
Acceleration = Literal["none", "attention-cache", "guidance-cutoff"]


@dataclass(frozen=True, slots=True)
class AdapterUse:
    """One adapter of a request's stack: its file, and the weight of the UNet's and the text encoders' part.

    `config_sha256` is of the PEFT configuration beside the file. `stamp` is the file's time and size when it
    was hashed: while they are the same, so is the hash; `bytes` is its size. `embeddings` are the names that
    it brings along, `triggers` the words that it put into the prompt and `triggers_from` who named them,
    `warnings` what its user should know. `blocks` multiplies the weights by block, in the order of the
    blocks; those that are not there count 1. With `strict` off, what fits is applied and the rest reported.
    `in_prompt`: it stands in the prompt as a tag.
    """

    name: str
    file: str
    sha256: str
    auto_v3: str
    unet: float
    text_encoder: float
    triggers: tuple[str, ...] = ()
    triggers_from: str = ""
    warnings: tuple[str, ...] = ()
    blocks: tuple[tuple[str, float], ...] = ()
    strict: bool = True
    in_prompt: bool = False
    config_sha256: str = ""
    stamp: tuple[int, int] | None = None
    bytes: int = 0
    embeddings: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        return self.unet != 0 or self.text_encoder != 0


@dataclass(frozen=True, slots=True)
class EmbeddingUse:
    """A textual-inversion embedding that a prompt names: its file, of `vectors` vectors, and its hashes."""

    name: str
    file: str
    sha256: str
    auto_v3: str
    vectors: int


@dataclass(frozen=True, slots=True)
class PictureUse:
    """A picture that a request brings: its file, and the hash of that. The file is a name among the server's
    uploads; on the command line, a path."""

    file: str
    sha256: str

    @property
    def id(self) -> str:
        """Of the upload with this content."""
        return self.sha256[:32]


@dataclass(frozen=True, slots=True)
class InitImage:
    """The picture that drawing starts from, brought to the request's size as `resize` says (crop, stretch).

    `strength` is the share of the steps that are done; `mask` says in white what is drawn anew, its edge
    softened over `mask_blur` pixels.
    """

    picture: PictureUse
    strength: float
    resize: str
    mask: PictureUse | None = None
    mask_blur: float = 0


@dataclass(frozen=True, slots=True)
class Hires:
    """A second pass: the picture enlarged to `width`×`height`, then drawn on for a share of `steps`.

    `upscaler` is `latent` (before decoding) or `lanczos` (pixels).
    """

    width: int
    height: int
    steps: int
    strength: float
    upscaler: str


def steps_done(steps: int, strength: float) -> int:
    """Of `steps`, as diffusers rounds it."""
    return min(int(steps * strength), steps)


def steps_for(done: int, strength: float, most: int) -> int:
    """The fewest steps of which, at this strength, so many are done; `most` if there are none so few."""
    return next((steps for steps in range(done, most) if steps_done(steps, strength) >= done), most)


@dataclass(frozen=True, slots=True)
class IpAdapterUse:
    """The IP-Adapter that reads a request's references: its file, and its image encoder's folder."""

    name: str
    file: str
    sha256: str
    encoder: str
    encoder_sha256: str


@dataclass(frozen=True, slots=True)
class Original:
    """What a replayed image is compared with: the manifest that it is made from, as JSON, and the picture
    (None where a manifest alone was given)."""

    manifest: str
    picture: PictureUse | None = None


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A request that has been checked: every default filled in, the seed drawn, the model's place resolved.

    `prompt` is what the client typed, `final_prompt` what the text encoders get, `tagged_prompt` the same
    with the adapter tags that stood in the prompt. `model_path` is the diffusers folder. `clip_skip` counts
    as the web UIs do: 1 is the last layer, 2 the one before it (SDXL's own choice). Image k uses `seed + k`.
    `prompt_syntax` and `negative_syntax` are settled: `compel` or `a1111`. Where wildcards were drawn, the
    prompts are what was drawn, the templates what was typed; with `wildcards` off they are letters.
    `unsettled` is the body that this was made from, as JSON, while files that it needs are not here: then
    places, hashes and words of its model and adapters are not known yet. `references` are the pictures that
    `ip_adapter` reads, both empty where `ip_strength` is 0. `format` is the images' (png, webp or jpeg),
    `quality` that of the lossy ones; without `metadata` nothing of this is written into them. `original` is
    there when an image is made again.
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
    ip_adapter: IpAdapterUse | None = None
    references: tuple[PictureUse, ...] = ()
    tagged_prompt: str = ""
    prediction_type: str = "epsilon"
    zero_snr: bool = False
    guidance_rescale: float = 0.0
    vae_path: str | None = None
    base_path: str | None = None
    preset: str | None = None
    accelerate: Acceleration = "none"
    unsettled: str = ""
    format: str = "png"
    quality: int = 90
    metadata: bool = True
    init: InitImage | None = None
    hires: Hires | None = None
    original: Original | None = None
    prompt_syntax: Syntax = "compel"
    negative_syntax: Syntax = "compel"
    wildcards: bool = True
    prompt_template: str = ""
    negative_template: str = ""
    embeddings: tuple[EmbeddingUse, ...] = ()

    @property
    def steps_an_image(self) -> int:
        """Those that are done, in all passes."""
        first = self.steps if self.init is None else steps_done(self.steps, self.init.strength)
        return first + (0 if self.hires is None else steps_done(self.hires.steps, self.hires.strength))

    @property
    def total_steps(self) -> int:
        return self.steps_an_image * self.num_images

    @property
    def final_size(self) -> tuple[int, int]:
        return (self.width, self.height) if self.hires is None else (self.hires.width, self.hires.height)

    @property
    def finished_pixels(self) -> int:
        """Of all its images, as they come out."""
        width, height = self.final_size
        return self.num_images * width * height

    @property
    def pictures(self) -> tuple[PictureUse, ...]:
        """All that it brings."""
        brought = (self.init.picture, self.init.mask) if self.init else ()
        compared = (self.original.picture,) if self.original else ()
        return tuple(picture for picture in (*brought, *self.references, *compared) if picture)

    def seed_of(self, index: int) -> int:
        return (self.seed + index) % SEED_LIMIT


SEED_LIMIT = 2**32
