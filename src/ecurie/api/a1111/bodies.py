"""Bodies as clients send them: the web UI's names and defaults. Fields that are not named here are ignored.

Defaults are those of `StableDiffusionProcessing` and its two kinds in the web UI's `modules/processing.py`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from ecurie.adapter_stack import plain_text

Word = Annotated[str, Field(max_length=1000), AfterValidator(plain_text)]
Text = Annotated[str, AfterValidator(plain_text)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Names = dict[Word, Any]


class GenerationBody(BaseModel):
    """What both ways to draw have in common."""

    prompt: Text = ""
    negative_prompt: Text = ""
    styles: list[Word] | None = None
    seed: int | None = Field(-1, description="Image k uses seed + k; -1: one is drawn.")
    sampler_name: Word | None = None
    sampler_index: Word | None = "Euler"
    scheduler: Word | None = None
    batch_size: int = Field(1, ge=1)
    n_iter: int = Field(1, ge=1)
    steps: int = 50
    cfg_scale: Number = 7.0
    width: int = 512
    height: int = 512
    denoising_strength: Number | None = 0.75
    override_settings: Names | None = None
    override_settings_restore_afterwards: bool = True
    script_name: Word | None = None
    alwayson_scripts: Names | None = None
    send_images: bool = True
    save_images: bool = False
    force_task_id: Word | None = None
    infotext: Text | None = None

    subseed: int | None = -1
    subseed_strength: Number | None = 0.0
    seed_resize_from_h: int | None = -1
    seed_resize_from_w: int | None = -1
    restore_faces: bool | None = None
    tiling: bool | None = None
    refiner_checkpoint: Word | None = None
    eta: Number | None = None
    s_churn: Number | None = None
    s_noise: Number | None = None
    s_min_uncond: Number | None = None


class Txt2ImgBody(GenerationBody):
    """The body of `POST /sdapi/v1/txt2img`."""

    enable_hr: bool = False
    hr_scale: Number = 2.0
    hr_upscaler: Word | None = None
    hr_second_pass_steps: int = Field(0, ge=0)
    hr_resize_x: int = Field(0, ge=0)
    hr_resize_y: int = Field(0, ge=0)
    hr_checkpoint_name: Word | None = None
    hr_sampler_name: Word | None = None
    hr_scheduler: Word | None = None
    hr_prompt: Text | None = ""
    hr_negative_prompt: Text | None = ""
    firstphase_width: int | None = 0
    firstphase_height: int | None = 0


class Img2ImgBody(GenerationBody):
    """The body of `POST /sdapi/v1/img2img`."""

    init_images: list[str] | None = Field(None, description="Base64 or data URIs; each makes its own images.")
    mask: str | None = None
    resize_mode: int = 0
    mask_blur: Number | None = None
    mask_blur_x: Number = 4
    mask_blur_y: Number = 4
    inpainting_fill: int = 0
    inpaint_full_res: bool = True
    inpainting_mask_invert: int = 0
    initial_noise_multiplier: Number | None = None
    include_init_images: bool = False


class OptionsBody(BaseModel):
    """The web UI's options that have a meaning here; of its hundreds of others, none."""

    sd_model_checkpoint: Word | None = None
    sd_vae: Word | None = None
    CLIP_stop_at_last_layers: int | None = Field(None, ge=1, le=12)
    samples_format: Word | None = None
    jpeg_quality: int | None = Field(None, ge=1, le=100)


class PictureBody(BaseModel):
    """One picture: base64 or a data URI."""

    image: str


class TaskBody(BaseModel):
    """`id_task` is a request's `force_task_id`; `id_live_preview` the preview that the client has already."""

    id_task: Word
    id_live_preview: int = -1
