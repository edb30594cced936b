"""The denoising itself: diffusers' SDXL pipeline, fed with our embeds, noise and scheduler."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from ecurie.engine.devices import Compute
from ecurie.engine.loader import Model
from ecurie.engine.prompts import Conditioning
from ecurie.engine.schedulers import make_scheduler
from ecurie.errors import ImageNotFinite

StepListener = Callable[[int, int], None]
"""Called after each scheduler step with (steps done, steps in all); may raise to stop the denoising."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One image, the scheduler's class that made it, and the seconds it took."""

    image: Image.Image
    scheduler: str
    denoise: float
    decode: float


@torch.no_grad()
def draw(
    model: Model,
    compute: Compute,
    conditioning: Conditioning,
    *,
    scheduler_name: str,
    seed: int,
    steps: int,
    guidance_scale: float,
    width: int,
    height: int,
    on_step: StepListener,
) -> Drawn:
    """Make one image of `width`×`height` pixels.

    The noise is drawn in float32 by a CPU generator, so a seed starts from the same noise on every device.
    Raises ImageNotFinite when the model's output is NaN or infinite.
    """
    scheduler = make_scheduler(scheduler_name, model.scheduler_config, seed)
    pipeline = StableDiffusionXLPipeline(
        vae=model.vae,
        text_encoder=model.text_encoders[0],
        text_encoder_2=model.text_encoders[1],
        tokenizer=model.tokenizers[0],
        tokenizer_2=model.tokenizers[1],
        unet=model.unet,
        scheduler=scheduler,
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(seed)
    factor = pipeline.vae_scale_factor
    shape = (1, model.unet.config.in_channels, height // factor, width // factor)
    noise = torch.randn(shape, generator=generator, dtype=torch.float32)
    began = denoised = time.perf_counter()

    def after_step(running: Any, index: int, _timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal denoised
        denoised = time.perf_counter()
        on_step(index + 1, running.num_timesteps)
        return tensors

    pixels = pipeline(
        prompt_embeds=conditioning.embeds,
        pooled_prompt_embeds=conditioning.pooled,
        negative_prompt_embeds=conditioning.negative_embeds,
        negative_pooled_prompt_embeds=conditioning.negative_pooled,
        num_inference_steps=steps,
        guidance_scale=guidance_scale,
        width=width,
        height=height,
        latents=noise.to(compute.device, compute.dtype),
        generator=generator,
        output_type="pt",
        callback_on_step_end=after_step,
    ).images
    if not torch.isfinite(pixels).all():
        raise ImageNotFinite(
            f"the image of seed {seed} holds NaN or infinite values",
            remedy="try another scheduler or guidance scale; with a half-precision VAE use a fixed one",
        )
    image = pipeline.image_processor.numpy_to_pil(pixels.float().cpu().permute(0, 2, 3, 1).numpy())[0]
    ended = time.perf_counter()
    return Drawn(image, type(scheduler).__name__, denoised - began, ended - denoised)
