"""One image: its passes through diffusers' pipelines, then from latents to pixels."""

from __future__ import annotations

import time

import torch

from ecurie.engine.decoding import decode
from ecurie.engine.devices import Compute, wait_for
from ecurie.engine.drawing import Drawing, Drawn, StepListener
from ecurie.engine.loader import Model
from ecurie.engine.passes import Painter
from ecurie.engine.placement import Placement
from ecurie.engine.previews import Sketcher
from ecurie.images.fitting import keep_unmasked


@torch.no_grad()
def draw(
    model: Model,
    compute: Compute,
    placement: Placement,
    drawing: Drawing,
    on_step: StepListener,
    sketcher: Sketcher | None = None,
) -> Drawn:
    """Make one image.

    The noise is drawn in float32 by a CPU generator, so a seed starts from the same noise on every device.
    What a mask leaves out is in the end the starting picture's own pixels. Raises ImageNotFinite when the
    model's output is NaN or infinite.
    """
    began = time.perf_counter()
    painter = Painter(model, compute, placement, drawing, on_step, sketcher)
    latents = painter.first_pass()
    if drawing.enlarging is not None:
        latents = painter.second_pass(latents, drawing.enlarging)
    wait_for(compute.device)
    denoised = time.perf_counter()
    with placement.at_work("vae"):
        decoded = decode(model.vae, latents, drawing.seed)
    image, start = decoded.image, drawing.start
    if start is not None and start.mask is not None:
        image = keep_unmasked(image, start.picture, start.mask)
    ended = time.perf_counter()
    name = type(drawing.scheduler).__name__
    return Drawn(image, name, denoised - began, ended - denoised, painter.warnings + decoded.warnings)
