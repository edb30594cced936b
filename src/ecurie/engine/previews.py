"""Small pictures of what a job draws, while it draws.

After a step the model's prediction says what it believes the finished latents to be. Those become a picture
by a linear map, or by a tiny autoencoder (TAESD) where the settings name one.

For a model input x at timestep t, with the signal's share ᾱ of the scheduler's noise schedule (between two
timesteps: interpolated), x = √ᾱ·x₀ + √(1-ᾱ)·ε. So the finished latents are

    x₀ = (x - √(1-ᾱ)·ε) / √ᾱ      where the model predicts the noise ε,
    x₀ = √ᾱ·x - √(1-ᾱ)·v          where it predicts v = √ᾱ·ε - √(1-ᾱ)·x₀ (Salimans and Ho, 2022),

for every scheduler, whatever it does with the prediction. The latents themselves are noise until late.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AutoencoderTiny
from PIL import Image
from torch import Tensor

from ecurie.domain import Preview
from ecurie.engine.linear_preview import LinearMap, fit_linear_map
from ecurie.engine.loader import Model
from ecurie.engine.placement import Placement
from ecurie.engine.tiny_decoder import decode_small

SECONDS_BETWEEN = 0.25
LEAST_SIDE, MOST_SIDE = 128, 256
TENSORS = ("noise_pred", "latent_model_input")
"""What diffusers' pipelines must hand to a step's callback; `noise_pred` is the prediction after guidance."""
Picture = Callable[[Tensor], Image.Image]


class Previews:
    """Makes them for one worker. Linear maps are kept by the model's files: a few numbers each."""

    def __init__(self, tiny: AutoencoderTiny | None = None):
        self._tiny = tiny
        self._maps: dict[object, LinearMap | None] = {}

    def of(self, model: Model, placement: Placement) -> Sketcher | None:
        """For one job; the first one of a model decodes two tiny pictures with its VAE. None: it cannot."""
        tiny = self._tiny
        if tiny is not None:
            return Sketcher(lambda latents: decode_small(tiny, latents, MOST_SIDE))
        key = (model.checkpoint.files, model.checkpoint.stamp)
        if key not in self._maps:
            with placement.at_work("vae"):
                self._maps[key] = fit_linear_map(model.vae)
        linear = self._maps[key]
        return None if linear is None else Sketcher(linear.picture)


class Sketcher:
    """Makes the previews of one job, at most one in SECONDS_BETWEEN."""

    def __init__(self, picture: Picture):
        self._picture = picture
        self._next_at = 0.0

    def sketch(
        self, scheduler: Any, timestep: Any, tensors: dict[str, Any], step: int, most_side: int
    ) -> Preview | None:
        """`tensors` are TENSORS, `most_side` the longer side of the image in pixels. None: not due yet, or
        the prediction is not finite."""
        now = time.monotonic()
        if now < self._next_at:
            return None
        self._next_at = now + SECONDS_BETWEEN
        latents = finished(scheduler, float(timestep), *(tensors[name][:1].float() for name in TENSORS))
        if not torch.isfinite(latents).all():
            return None
        return Preview(step, _webp(_sized(self._picture(latents), most_side)))


def finished(scheduler: Any, timestep: float, prediction: Tensor, model_input: Tensor) -> Tensor:
    """x₀ as above. `prediction` and `model_input` are 1×channels×height×width of one image, float32."""
    signal = _signal(scheduler.alphas_cumprod, timestep)
    noise = 1 - signal
    if scheduler.config.prediction_type == "v_prediction":
        return math.sqrt(signal) * model_input - math.sqrt(noise) * prediction
    return (model_input - math.sqrt(noise) * prediction) / math.sqrt(signal)


def _signal(signals: Tensor, timestep: float) -> float:
    below = min(max(math.floor(timestep), 0), len(signals) - 1)
    above = min(below + 1, len(signals) - 1)
    first, second = float(signals[below]), float(signals[above])
    return first + (second - first) * (timestep - below if above > below else 0.0)


def _sized(picture: Image.Image, most_side: int) -> Image.Image:
    """Its longer side within LEAST_SIDE and MOST_SIDE, but not above `most_side`."""
    longest = max(picture.size)
    scale = min(most_side, max(LEAST_SIDE, min(MOST_SIDE, longest))) / longest
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BICUBIC)


def _webp(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, format="WEBP", quality=80, method=2)
    return content.getvalue()
