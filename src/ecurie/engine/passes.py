"""The passes of one image: from noise, from a picture, and the larger second one.

Each is a run of diffusers' own SDXL pipelines, fed with our embeds, latents and scheduler. Formulas and the
order in which noise is drawn are those of its img2img and inpaint pipelines, so the same seed gives the same
picture.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
from diffusers.image_processor import VaeImageProcessor
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ecurie.domain import Hires, Preview, steps_done
from ecurie.engine import speedups
from ecurie.engine.decoding import decode
from ecurie.engine.devices import Compute
from ecurie.engine.drawing import Drawing, Enlarging, Start, StepListener
from ecurie.engine.encoding import encode
from ecurie.engine.loader import Model
from ecurie.engine.placement import Placement
from ecurie.engine.previews import TENSORS, Sketcher
from ecurie.images.fitting import LANCZOS

# Only the UNet is surely on the device now; a pipeline takes its device from the parts that it has.
ABSENT = dict.fromkeys(("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"))


class Painter:
    """Makes one image's latents. All its noise comes from one generator, in float32 on the CPU."""

    def __init__(
        self,
        model: Model,
        compute: Compute,
        placement: Placement,
        drawing: Drawing,
        on_step: StepListener,
        sketcher: Sketcher | None = None,
    ):
        self._model, self._compute, self._placement = model, compute, placement
        self._drawing, self._on_step, self._sketcher = drawing, on_step, sketcher
        self._generator = torch.Generator("cpu").manual_seed(drawing.seed)
        self._factor = 2 ** (len(model.vae.config.block_out_channels) - 1)
        self._steps = 0
        self._watched = TENSORS if sketcher is not None else ()
        self.warnings: tuple[str, ...] = ()

    def first_pass(self) -> Tensor:
        start = self._drawing.start
        return self._from_noise() if start is None else self._from_picture(start)

    def second_pass(self, latents: Tensor, enlarging: Enlarging) -> Tensor:
        larger = enlarging.hires
        self._on_step("enlarging", self._steps, None)
        bigger = self._enlarged(latents, larger)
        noise = self._noise(bigger.shape)
        pipeline = self._pipeline(StableDiffusionXLImg2ImgPipeline, enlarging.scheduler)
        noisy = self._noised(pipeline, bigger, noise, larger.steps, larger.strength)
        return self._denoise(
            pipeline,
            steps_done(larger.steps, larger.strength),
            image=bigger,
            latents=noisy,
            strength=larger.strength,
            num_inference_steps=larger.steps,
        )

    def _from_noise(self) -> Tensor:
        drawing = self._drawing
        channels = self._model.unet.config.in_channels
        shape = (1, channels, drawing.height // self._factor, drawing.width // self._factor)
        return self._denoise(
            self._pipeline(StableDiffusionXLPipeline, drawing.scheduler),
            drawing.steps,
            latents=self._noise(shape),
            num_inference_steps=drawing.steps,
            width=drawing.width,
            height=drawing.height,
        )

    def _from_picture(self, start: Start) -> Tensor:
        drawing = self._drawing
        before = self._encoded(start.picture)
        noise = self._noise(before.shape)
        pipeline = self._pipeline(StableDiffusionXLImg2ImgPipeline, drawing.scheduler)
        noisy = self._noised(pipeline, before, noise, drawing.steps, start.strength)
        keep = None
        if start.mask is not None:
            # diffusers' inpainting encodes what is left of the picture too, for UNets of nine channels only.
            self._noise(before.shape)
            keep = _Unmasked(self._mask(start.mask, before), before, noise)
            if start.strength == 1:
                noisy = noise * drawing.scheduler.init_noise_sigma
        return self._denoise(
            pipeline,
            steps_done(drawing.steps, start.strength),
            keep,
            image=before,
            latents=noisy,
            strength=start.strength,
            num_inference_steps=drawing.steps,
        )

    def _denoise(self, pipeline: Any, steps: int, keep: _Unmasked | None = None, **options: Any) -> Tensor:
        """`steps`: how many of the image's this pass does; some schedulers take two timesteps for one."""
        drawing, before = self._drawing, self._steps
        references = drawing.references.arguments(drawing.guidance_scale) if drawing.references else {}
        conditioning = drawing.conditioning
        self._steps += steps

        def after_step(running: Any, index: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            done = before + math.ceil((index + 1) * steps / running.num_timesteps)
            preview = self._preview(running.scheduler, timestep, tensors, done)
            self._on_step("denoising" if index + 1 < running.num_timesteps else "decoding", done, preview)
            if keep is not None:
                tensors["latents"] = keep.put_back(running, index, tensors["latents"])
            cut = drawing.accelerate == "guidance-cutoff"
            return speedups.end_guidance(running, index + 1, tensors) if cut else tensors

        cached = drawing.accelerate == "attention-cache"
        with self._placement.at_work("unet"), speedups.attention_cached(self._model.unet, cached):
            latents: Tensor = pipeline(
                prompt_embeds=conditioning.embeds,
                pooled_prompt_embeds=conditioning.pooled,
                negative_prompt_embeds=conditioning.negative_embeds,
                negative_pooled_prompt_embeds=conditioning.negative_pooled,
                guidance_scale=drawing.guidance_scale,
                guidance_rescale=drawing.guidance_rescale,
                generator=self._generator,
                output_type="latent",
                callback_on_step_end=after_step,
                callback_on_step_end_tensor_inputs=["latents", *speedups.GUIDED_TENSORS, *self._watched],
                **references,
                **options,
            ).images
        return latents

    def _preview(self, scheduler: Any, timestep: Any, tensors: dict[str, Any], step: int) -> Preview | None:
        if self._sketcher is None:
            return None
        most_side = max(self._drawing.width, self._drawing.height)
        return self._sketcher.sketch(scheduler, timestep, tensors, step, most_side)

    def _pipeline(self, kind: Any, scheduler: Any) -> Any:
        pipeline = kind(**ABSENT, unet=self._model.unet, scheduler=scheduler, add_watermarker=False)
        pipeline.vae_scale_factor = self._factor
        pipeline.set_progress_bar_config(disable=True)
        # Pipelines hand out what they list; any of their variables can be listed.
        pipeline._callback_tensor_inputs = [*pipeline._callback_tensor_inputs, *self._watched]
        return pipeline

    def _noise(self, shape: Any) -> Tensor:
        noise = torch.randn(shape, generator=self._generator, dtype=torch.float32)
        return noise.to(self._compute.device, self._compute.dtype)

    def _noised(self, pipeline: Any, latents: Tensor, noise: Tensor, steps: int, strength: float) -> Tensor:
        """The latents as they are at the timestep where this share of the steps begins."""
        pipeline.scheduler.set_timesteps(steps, device=self._compute.device)
        timesteps, _ = pipeline.get_timesteps(steps, strength, self._compute.device)
        noisy: Tensor = pipeline.scheduler.add_noise(latents, noise, timesteps[:1])
        return noisy

    def _encoded(self, picture: Image.Image) -> Tensor:
        self._on_step("encoding picture", self._steps, None)
        with self._placement.at_work("vae"):
            return encode(self._model.vae, picture, self._generator)

    def _enlarged(self, latents: Tensor, larger: Hires) -> Tensor:
        if larger.upscaler == "latent":
            size = (larger.height // self._factor, larger.width // self._factor)
            return functional.interpolate(latents.float(), size, mode="bilinear").to(latents.dtype)
        with self._placement.at_work("vae"):
            decoded = decode(self._model.vae, latents, self._drawing.seed)
        self.warnings += decoded.warnings
        return self._encoded(decoded.image.resize((larger.width, larger.height), LANCZOS))

    def _mask(self, mask: Image.Image, latents: Tensor) -> Tensor:
        """1×1×height×width of the latents, 1 where they are drawn anew; rounded as diffusers does."""
        processor = VaeImageProcessor(
            vae_scale_factor=self._factor, do_normalize=False, do_binarize=True, do_convert_grayscale=True
        )
        return functional.interpolate(processor.preprocess(mask), latents.shape[-2:]).to(latents)


class _Unmasked:
    """What of a picture stays: after each step it is put back, with the noise of the next one."""

    def __init__(self, mask: Tensor, latents: Tensor, noise: Tensor):
        self._mask, self._latents, self._noise = mask, latents, noise

    def put_back(self, pipeline: Any, index: int, drawn: Tensor) -> Tensor:
        timesteps = pipeline.scheduler.timesteps[-pipeline.num_timesteps :]
        before = self._latents
        if index + 1 < len(timesteps):
            before = pipeline.scheduler.add_noise(before, self._noise, timesteps[index + 1 : index + 2])
        return (1 - self._mask) * before + self._mask * drawn
