"""A request as responses show it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ecurie.domain import AdapterUse, GenerationRequest, InitImage


def describe(request: GenerationRequest) -> dict[str, Any]:
    """The request as responses show it: the body's names, all defaults filled in. Adapters whose tags stand
    in the prompt are there alone, so that the same body makes the same stack."""
    return {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "prompt_syntax": request.prompt_syntax
        if request.prompt_syntax == request.negative_syntax
        else "auto",
        "wildcards": request.wildcards,
        "model": request.model,
        "preset": request.preset,
        "loras": [describe_adapter(use) for use in request.adapters if not use.in_prompt],
        "steps": request.steps,
        "guidance_scale": request.guidance_scale,
        "seed": request.seed,
        "width": request.width,
        "height": request.height,
        "num_images": request.num_images,
        **_start(request.init),
        "hires": request.hires and asdict(request.hires),
        "scheduler": request.scheduler,
        "clip_skip": request.clip_skip,
        "prompt_prefix": request.prompt_prefix,
        "inject_triggers": request.inject_triggers,
        "prediction_type": request.prediction_type,
        "zero_snr": request.zero_snr,
        "guidance_rescale": request.guidance_rescale,
        "accelerate": request.accelerate,
        "ip_strength": request.ip_strength,
        "ip_adapter": request.ip_adapter and request.ip_adapter.name,
        "reference_images": [picture.id for picture in request.references],
        "format": request.format,
        "quality": request.quality,
        "metadata": request.metadata,
    }


def describe_adapter(use: AdapterUse) -> dict[str, Any]:
    """The adapter as a body's `loras` would have it."""
    return {
        "name": use.name,
        "unet": use.unet,
        "text_encoder": use.text_encoder,
        "blocks": dict(use.blocks),
        "strict": use.strict,
    }


def _start(init: InitImage | None) -> dict[str, Any]:
    """Pictures are named by the ids of their uploads."""
    masked = init is not None and init.mask is not None
    return {
        "init_image": init and init.picture.id,
        "strength": init and init.strength,
        "resize": init and init.resize,
        "mask": init and init.mask and init.mask.id,
        "mask_blur": init.mask_blur if init and masked else None,
    }
