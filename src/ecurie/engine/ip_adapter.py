"""An IP-Adapter on a UNet: diffusers' own modules, there while they are used and gone afterwards.

The modules belong to the adapter's file, not to a model. No model ever says that one is loaded, so none can
say it wrongly: a UNet has them within `attached` and is as it was before in every other moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import MultiIPAdapterImageProjection
from torch import nn

from ecurie.adapters.reader import read_tensors
from ecurie.engine.devices import Compute
from ecurie.formats.ip_adapter_file import IpAdapterFile


@dataclass(frozen=True)
class IpAdapter:
    """`processors` by the name of the attention processor that each stands instead of."""

    described: IpAdapterFile
    projection: nn.Module
    processors: Mapping[str, IPAdapterAttnProcessor2_0]

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return (self.projection, *self.processors.values())

    @property
    def bytes(self) -> int:
        return sum(parameter.nbytes for module in self.modules for parameter in module.parameters())

    def move(self, device: torch.device) -> None:
        for module in self.modules:
            module.to(device)


def load_ip_adapter(described: IpAdapterFile, unet: UNet2DConditionModel, compute: Compute) -> IpAdapter:
    """Its modules in the host's memory in `compute.dtype`; of the UNet only its layout is asked.

    Raises what `read_tensors` raises.
    """
    state: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, tensor in read_tensors(described).items():
        part, _, name = key.partition(".")
        state[part][name] = tensor
    layers = unet._convert_ip_adapter_attn_to_diffusers([state])
    projection = MultiIPAdapterImageProjection(
        [unet._convert_ip_adapter_image_proj_to_diffusers(state["image_proj"])]
    )
    processors = {
        name: layer for name, layer in layers.items() if isinstance(layer, IPAdapterAttnProcessor2_0)
    }
    adapter = IpAdapter(described, projection, processors)
    for module in adapter.modules:
        module.to("cpu", compute.dtype).eval().requires_grad_(False)
    return adapter


@contextmanager
def attached(unet: UNet2DConditionModel, adapter: IpAdapter, strength: float) -> Iterator[None]:
    """Within, the UNet adds `strength` times what the adapter makes of the references that a call gives it
    (`image_embeds` among its added conditions); after it the UNet is what it was, whatever happened."""
    before, kind = unet.attn_processors, unet.config.encoder_hid_dim_type
    for processor in adapter.processors.values():
        processor.scale = [strength]
    try:
        unet.set_attn_processor({**before, **adapter.processors})
        unet.encoder_hid_proj = adapter.projection
        unet.config.encoder_hid_dim_type = "ip_image_proj"
        yield
    finally:
        # A module that was assigned is registered; only deletion takes it out of the register again. It goes
        # first: a resampler has attention processors of its own, which `before` does not know.
        del unet.encoder_hid_proj
        unet.encoder_hid_proj = None
        unet.config.encoder_hid_dim_type = kind
        unet.set_attn_processor(before)
