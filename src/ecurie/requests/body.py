"""The body of a generation request, as clients send it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ecurie.adapter_stack import MAX_ADAPTERS, PLAIN, LoraBody, Name, plain_text
from ecurie.catalog.schedulers import MODEL_DEFAULT
from ecurie.domain import SEED_LIMIT, Acceleration, PriorityName
from ecurie.formats.prompt_syntax import Wanted

MAX_PROMPT = 10_000
MAX_REFERENCES = 8


def _something(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    return text


Text = Annotated[str, Field(max_length=MAX_PROMPT, json_schema_extra=PLAIN), AfterValidator(plain_text)]
# Something besides white space, as Python counts it.
SOMETHING: dict[str, Any] = {"pattern": r"^[^\u0000]*[^\s\u0000-\u001f\u0085][^\u0000]*$", "minLength": 1}
Side = Annotated[int, Field(ge=64, le=8192, multiple_of=8)]


class HiresBody(BaseModel):
    """A second, larger pass. `width` and `height` stand together, instead of `scale`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scale: float = Field(2.0, ge=1, le=4, allow_inf_nan=False, description="Of the first pass's size.")
    width: Side | None = None
    height: Side | None = None
    steps: int | None = Field(None, ge=1, le=150, description="Default: the request's.")
    strength: float = Field(0.5, gt=0, le=1, allow_inf_nan=False, description="The share of steps done.")
    upscaler: Literal["lanczos", "latent"] = Field("lanczos", description="Enlarges pixels, or latents.")

    @model_validator(mode="after")
    def _both_sides(self) -> HiresBody:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height are given together, or scale")
        return self


class GenerateBody(BaseModel):
    """The body of `POST /generate`: only `prompt` is needed."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {"prompt": "red apple"},
                {"model": "pony-xl-v6", "prompt": "test", "seed": 12345},
                {"prompt": "red apple", "loras": [{"name": "my-style", "weight": 0.8}]},
                {"prompt": "red apple", "loras": [{"name": "my-style", "blocks": {"IN": 0.5, "M00": 0}}]},
                {"prompt": "red apple <lora:my-style:0.8>"},
                {"prompt": "red apple", "steps": 20, "hires": {"scale": 2, "strength": 0.5}},
                {"prompt": "(red apple:1.2) BREAK {plate|bowl}", "seed": 7},
                {"prompt": "rocket", "steps": 20, "scheduler": "dpmpp-2m-karras", "num_images": 4, "seed": 7},
            ]
        },
    )

    prompt: Annotated[Text, AfterValidator(_something)] = Field(
        json_schema_extra=SOMETHING,
        description="What to draw, in A1111's syntax, `(red apple:1.3)`, or compel's, `(red apple)1.3`; "
        "`<lora:id:0.8>` adds an adapter to the stack, `{a|b}` and `__file__` are drawn from the seed.",
    )
    prompt_syntax: Wanted = Field("auto", description="Of both prompts; auto: told by their marks.")
    wildcards: bool = Field(True, description="Draw `{a|b}` and `__file__`; false: they are letters.")
    negative_prompt: Text | None = Field(None, description="What to avoid; default: the model's.")
    model: Name | None = Field(None, description="A catalogue id; default: the catalogue's.")
    preset: Name | None = Field(
        None, description="An id of `GET /presets`: its settings and adapters where the body gives none."
    )
    loras: list[LoraBody] = Field([], max_length=MAX_ADAPTERS, description="The adapter stack.")
    steps: int = Field(30, ge=1, le=150, description="Denoising steps.")
    guidance_scale: float = Field(7.5, ge=1, le=30, allow_inf_nan=False)
    seed: int | None = Field(
        None, ge=-1, lt=SEED_LIMIT, description="Image k uses seed + k; null or -1: one is drawn."
    )
    width: Side | None = Field(None, description="Pixels, a multiple of 8; default: the model's.")
    height: Side | None = Field(None, description="Pixels, a multiple of 8; default: the model's.")
    num_images: int = Field(1, ge=1, le=16)
    init_image: str | None = Field(
        None,
        min_length=1,
        description="A picture to start from: an upload's id, an output's name, base64 or a data URI.",
    )
    strength: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="How far to leave init_image; default: 0.75."
    )
    resize: Literal["crop", "stretch"] | None = Field(
        None, description="How init_image comes to width and height; default: crop."
    )
    mask: str | None = Field(None, min_length=1, description="A picture: white is drawn anew, black kept.")
    mask_blur: float | None = Field(
        None, ge=0, le=64, allow_inf_nan=False, description="Pixels that soften the mask; default: 4."
    )
    hires: HiresBody | None = Field(None, description="Draw on in a larger size.")
    scheduler: Name = Field(MODEL_DEFAULT, description="An id of `GET /schedulers`.")
    clip_skip: int | None = Field(
        None, ge=1, le=12, description="As the web UIs count: 2 is SDXL's own layer; default: the model's."
    )
    prediction_type: Literal["epsilon", "v_prediction"] | None = Field(
        None, description="What the model predicts; default: as its files say."
    )
    zero_snr: bool | None = Field(None, description="Noise to zero signal; default: as its files say.")
    guidance_rescale: float | None = Field(
        None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Default: 0.7 for v-prediction with zero SNR.",
    )
    accelerate: Acceleration = Field(
        "none", description="Faster, and another picture: docs/speedups.md has measurements."
    )
    reference_images: list[Annotated[str, Field(min_length=1)]] = Field(
        [], max_length=MAX_REFERENCES, description="Pictures whose look the IP-Adapter takes over."
    )
    ip_strength: float | None = Field(
        None, ge=0, le=1, allow_inf_nan=False, description="Of the references; default: 0.6 with, 0 without."
    )
    ip_adapter: Name | None = Field(
        None, description="An id of `GET /ip-adapters`; default: the first that fits the model."
    )
    inject_triggers: bool = Field(True, description="Add the adapters' trigger words to the prompt.")
    prompt_prefix: bool = Field(True, description="Put the model's prompt prefix before the prompt.")
    format: Literal["png", "webp", "jpeg"] = Field("png", description="Of the images' files.")
    quality: int = Field(90, ge=1, le=100, description="Of webp and jpeg; webp of 100 is without loss.")
    metadata: bool = Field(True, description="Write into the images how they were made.")
    priority: PriorityName = Field("normal", description="A job of a higher class goes before all others.")
