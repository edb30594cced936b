"""What a CLIP image encoder makes of reference pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from ecurie.adapters.parallel import Check, go_on
from ecurie.adapters.pristine import Pristine
from ecurie.engine.devices import Compute
from ecurie.engine.modules import empty_module, fill
from ecurie.formats.image_encoder import ImageEncoder
from ecurie.formats.ip_adapter_file import IpAdapterKind


@dataclass(frozen=True, slots=True)
class ReferenceEmbeds:
    """What a pipeline call needs to draw with references, and what stands for none of them: 1×N×width of a
    plain adapter, 1×N×patches×width of a plus one, for N references."""

    positive: Tensor
    negative: Tensor

    def arguments(self, guidance_scale: float) -> dict[str, Any]:
        """For a call of any of diffusers' SDXL pipelines, which splits them into two halves if it guides."""
        parts = [self.negative, self.positive] if guidance_scale > 1 else [self.positive]
        return {"ip_adapter_image_embeds": [torch.cat(parts)]}


def load_image_encoder(described: ImageEncoder, compute: Compute, check: Check = go_on) -> nn.Module:
    """In the host's memory in `compute.dtype`, mapped where it is stored so. Raises WeightsInvalid."""
    module = empty_module("image_encoder", described.config)
    fill(module, described.tensors, Pristine(), compute.at_host, check)
    return module


@torch.no_grad()
def look_at(
    pictures: Sequence[Image.Image],
    encoder: nn.Module,
    image_size: int,
    kind: IpAdapterKind,
    compute: Compute,
) -> ReferenceEmbeds:
    """Encode RGB pictures, scaled to CLIP's square by the shorter side, the longer one cut at both ends."""
    processor = CLIPImageProcessorPil(size=image_size, crop_size=image_size)
    pixels = processor(list(pictures), return_tensors="pt").pixel_values.to(compute.device, compute.dtype)
    if kind is IpAdapterKind.PLAIN:
        embeds = encoder(pixels).image_embeds
        return ReferenceEmbeds(embeds[None].cpu(), torch.zeros_like(embeds)[None].cpu())
    # The resampler was trained with a black picture (zeros after normalising) as its empty condition.
    seen, empty = (
        encoder(batch, output_hidden_states=True).hidden_states[-2]
        for batch in (pixels, torch.zeros_like(pixels))
    )
    return ReferenceEmbeds(seen[None].cpu(), empty[None].cpu())
