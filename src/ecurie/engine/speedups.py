"""Opt-in speed-ups that change the picture: a cache of attention, and guidance for half of the steps.

`attention-cache` is Pyramid Attention Broadcast (https://huggingface.co/papers/2408.12588) as diffusers has
it, on SDXL's UNet: between the first and the last steps, where attention changes little, an output is used
again in the next steps. `guidance-cutoff` ends classifier-free guidance halfway, so that a step computes one
sample, not two (https://huggingface.co/papers/2312.12487 on why that does little harm). `bench/speedups.py`
measures what both give and cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers.hooks import PyramidAttentionBroadcastConfig, apply_pyramid_attention_broadcast
from diffusers.hooks.hooks import HookRegistry
from diffusers.hooks.pyramid_attention_broadcast import _PYRAMID_ATTENTION_BROADCAST_HOOK
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

SELF_EVERY, CROSS_EVERY = 2, 3
CACHED_TIMESTEPS = (100, 800)
"""Of 1000, from noise to picture downwards: outside, attention is always computed."""
GUIDED_SHARE = 0.5


@contextmanager
def attention_cached(unet: nn.Module, wanted: bool) -> Iterator[None]:
    """Within, self-attention is computed in every second step and cross-attention in every third; after it
    the UNet is as before."""
    if not wanted:
        yield
        return
    current = [0]

    def note(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        current[0] = int(inputs[1])

    config = PyramidAttentionBroadcastConfig(
        spatial_attention_block_skip_range=SELF_EVERY,
        cross_attention_block_skip_range=CROSS_EVERY,
        spatial_attention_timestep_skip_range=CACHED_TIMESTEPS,
        cross_attention_timestep_skip_range=CACHED_TIMESTEPS,
        current_timestep_callback=lambda: current[0],
    )
    handle = unet.register_forward_pre_hook(note)
    apply_pyramid_attention_broadcast(unet, config)
    try:
        yield
    finally:
        handle.remove()
        for module in unet.modules():
            if isinstance(module, Attention):
                registry = HookRegistry.check_if_exists_or_initialize(module)
                registry.remove_hook(_PYRAMID_ATTENTION_BROADCAST_HOOK, recurse=False)


GUIDED_TENSORS = ("prompt_embeds", "add_text_embeds", "add_time_ids")
"""Those that a pipeline holds twice while it guides: for the negative prompt, then for the prompt."""


def end_guidance(pipeline: Any, done: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """After `done` steps: from halfway on, guidance off, and the prompt's half of each tensor."""
    if not pipeline.do_classifier_free_guidance or done < GUIDED_SHARE * pipeline.num_timesteps:
        return tensors
    pipeline._guidance_scale = 1.0
    return {
        name: tensor.chunk(2)[-1] if name in GUIDED_TENSORS else tensor for name, tensor in tensors.items()
    }
