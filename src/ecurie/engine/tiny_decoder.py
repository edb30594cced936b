"""TAESD and its kin: autoencoders small enough to look at a picture between two steps."""

from __future__ import annotations

from pathlib import Path

from diffusers import AutoencoderTiny
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from ecurie.engine.devices import Compute
from ecurie.errors import SettingsError


def load_tiny_decoder(place: Path, compute: Compute) -> AutoencoderTiny:
    """`place` is a diffusers folder, or a .safetensors file of TAESD's own configuration; in float32.

    Raises SettingsError for anything else.
    """
    try:
        if place.is_dir():
            tiny = AutoencoderTiny.from_pretrained(
                place, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False
            )
        else:
            tiny = AutoencoderTiny()
            tiny.load_state_dict(load_file(place))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise SettingsError(
            f"--preview-decoder {place}: not an AutoencoderTiny ({str(error).splitlines()[0]})",
            remedy="name a folder such as that of madebyollin/taesdxl, or leave the setting out",
        ) from error
    return tiny.eval().requires_grad_(False).to(compute.device)


def decode_small(tiny: AutoencoderTiny, latents: Tensor, most_side: int) -> Image.Image:
    """The picture of 1×channels×height×width latents; larger ones are averaged first, until the longer side
    of their picture is at most `most_side` pixels."""
    factor = 2 ** (len(tiny.config.decoder_block_out_channels) - 1)
    height, width = latents.shape[-2:]
    shrink = max(1.0, max(height, width) * factor / most_side)
    size = (max(1, int(height / shrink)), max(1, int(width / shrink)))
    small = functional.adaptive_avg_pool2d(latents.to(next(tiny.parameters())), size)
    pixels = (tiny.decode(small).sample[0] / 2 + 0.5).clamp(0, 1)
    return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).cpu().numpy())
