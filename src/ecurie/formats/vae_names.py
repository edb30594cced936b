"""VAE modules of the original layout (`decoder.up.3.block.0`) by diffusers' names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ecurie.formats.parts import Source

BLOCK = re.compile(r"(encoder|decoder)\.(down|up)\.(\d+)\.(block\.(\d+)|downsample|upsample)\.(.+)")
MIDDLE = re.compile(r"(encoder|decoder)\.mid\.(block_(\d)|attn_1)\.(.+)")
UP_BLOCK = re.compile(r"decoder\.up\.(\d+)\.")
# The attention by its names in the original layout, and in diffusers before 0.15.
ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
OLD_ATTENTION = re.compile(r"(.+\.mid_block\.attentions\.0)\.(query|key|value|proj_attn)\.(.+)")
OLD_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def diffusers_vae(tensors: Mapping[str, Source]) -> dict[str, Source]:
    """By diffusers' names, in whose modules the attention's 1×1 convolutions are linear layers."""
    numbers = [int(match[1]) for key in tensors if (match := UP_BLOCK.match(key))]
    blocks = 1 + max(numbers, default=-1)
    renamed = ((vae_name(key, blocks), source) for key, source in tensors.items())
    return {
        name: source.shaped(source.shape[:2])
        if ".attentions.0.to_" in name and source.shape[2:] == (1, 1)
        else source
        for name, source in renamed
    }


def vae_name(key: str, blocks: int) -> str:
    """`blocks` is the number of up blocks, which the layouts count from opposite ends. Other names stay."""
    if middle := MIDDLE.fullmatch(key):
        side, rest = middle[1], middle[4]
        if middle[3]:
            return f"{side}.mid_block.resnets.{int(middle[3]) - 1}.{_resnet(rest)}"
        module, _, kind = rest.rpartition(".")
        return f"{side}.mid_block.attentions.0.{ATTENTION.get(module, module)}.{kind}"
    if match := BLOCK.fullmatch(key):
        side, direction, number, what, layer, rest = match.groups()
        index = int(number) if direction == "down" else blocks - 1 - int(number)
        inner = f"resnets.{layer}.{_resnet(rest)}" if layer else f"{what}rs.0.{rest}"
        return f"{side}.{direction}_blocks.{index}.{inner}"
    if old := OLD_ATTENTION.fullmatch(key):
        return f"{old[1]}.{OLD_NAMES[old[2]]}.{old[3]}"
    return re.sub(r"^(encoder|decoder)\.norm_out\.", r"\1.conv_norm_out.", key)


def _resnet(rest: str) -> str:
    return rest.replace("nin_shortcut.", "conv_shortcut.")
