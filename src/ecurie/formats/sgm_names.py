"""Block names of the original SGM layout (`input_blocks.4.1`) for UNet modules named as diffusers does.

The layout counts all layers of a side in one row: down block i has its ResNets at `input_blocks`
1 + i·(n + 1) … and its downsampler last; an up block has n + 1 ResNets, the upsampler inside the last one's
index (https://github.com/Stability-AI/generative-models, `sgm/modules/diffusionmodules/openaimodel.py`).
"""

from __future__ import annotations

import re

OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
SGM_OUTSIDE = {name: path for path, name in OUTSIDE.items()}
SGM_RESNET = {name: path for path, name in RESNET.items()}
SGM_BLOCK = re.compile(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)")
SGM_MIDDLE = re.compile(r"middle_block\.(\d)\.(.+)")
SGM_SAMPLERS = {"op": "downsamplers.0.conv", "conv": "upsamplers.0.conv"}
BLOCK = re.compile(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)")
MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d+)\.(.+)")


def to_sgm(path: str, layers_per_block: int, blocks_with_attention: set[str]) -> str | None:
    """The SGM name of a UNet module path, None for what that layout does not have.

    `blocks_with_attention` holds up blocks such as `up_blocks.0`: their upsampler comes third, not second.
    """
    if path in OUTSIDE:
        return OUTSIDE[path]
    if middle := MIDDLE.fullmatch(path):
        kind, index, rest = middle[1], int(middle[2]), middle[3]
        place = 2 * index if kind == "resnets" else 2 * index + 1
        return f"middle_block.{place}.{_inner(kind, rest)}"
    match = BLOCK.fullmatch(path)
    if match is None:
        return None
    side, block, kind, layer, rest = match[1], int(match[2]), match[3], int(match[4]), match[5]
    row = layers_per_block + 1
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * row}.0.op" if rest == "conv" else None
    if kind == "upsamplers":
        place = 2 if f"up_blocks.{block}" in blocks_with_attention else 1
        return f"output_blocks.{block * row + layers_per_block}.{place}.{rest}"
    first = 1 + block * row if side == "down" else block * row
    name = "input_blocks" if side == "down" else "output_blocks"
    return f"{name}.{first + layer}.{0 if kind == 'resnets' else 1}.{_inner(kind, rest)}"


def _inner(kind: str, rest: str) -> str:
    return RESNET.get(rest, rest) if kind == "resnets" else rest


def layers_per_block(paths: set[str]) -> int:
    """How many ResNets each down block of a UNet with these module paths has."""
    return 1 + max(
        (
            int(match[4])
            for path in paths
            if (match := BLOCK.fullmatch(path)) and match[1] == "down" and match[3] == "resnets"
        ),
        default=0,
    )


def sgm_names(paths: set[str]) -> dict[str, str]:
    """SGM name to diffusers path, for the module paths of one UNet."""
    layers = layers_per_block(paths)
    attended = {
        ".".join(path.split(".")[:2]) for path in paths if re.match(r"up_blocks\.\d+\.attentions\.", path)
    }
    named = ((to_sgm(path, layers, attended), path) for path in paths)
    return {name: path for name, path in named if name is not None}


def from_sgm(name: str, layers_per_block: int) -> str:
    """The diffusers path of a UNet module by its SGM name; what that layout does not have stays as it is."""
    if name in SGM_OUTSIDE:
        return SGM_OUTSIDE[name]
    if middle := SGM_MIDDLE.fullmatch(name):
        index, rest = int(middle[1]), middle[2]
        kind = "attentions" if index % 2 else "resnets"
        return f"mid_block.{kind}.{index // 2}.{rest if index % 2 else SGM_RESNET.get(rest, rest)}"
    match = SGM_BLOCK.fullmatch(name)
    if match is None:
        return name
    side, number, place, rest = match[1], int(match[2]), int(match[3]), match[4]
    block, layer = divmod(number - 1 if side == "input" else number, layers_per_block + 1)
    start = f"{'down' if side == 'input' else 'up'}_blocks.{block}"
    if rest in SGM_SAMPLERS:
        return f"{start}.{SGM_SAMPLERS[rest]}"
    if place == 0:
        return f"{start}.resnets.{layer}.{SGM_RESNET.get(rest, rest)}"
    return f"{start}.attentions.{layer}.{rest}"
