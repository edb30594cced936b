"""Writes a diffusers folder as community checkpoints are: one file in the original SGM layout.

`python -m demo.single_file FOLDER FILE [PART…]`; with `unet` alone, the file needs a base for the rest.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ecurie.formats.diffusers_folder import weight_files
from ecurie.formats.parts import COMPONENTS
from ecurie.formats.sgm_names import sgm_names

VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OPEN_CLIP = (
    ("embeddings.position_embedding.weight", "positional_embedding"),
    ("embeddings.token_embedding.", "token_embedding."),
    ("final_layer_norm.", "ln_final."),
    ("encoder.layers.", "transformer.resblocks."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)


def to_single_file(tensors: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """`tensors` by component, as a diffusers folder has them."""
    writers = {"unet": _unet, "vae": _vae, "text_encoder": _clip, "text_encoder_2": _open_clip}
    pairs = (pair for part, found in tensors.items() for pair in writers[part](found))
    return {key: tensor.contiguous().clone() for key, tensor in pairs}


def _unet(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    names = {path: name for name, path in sgm_names({key.rpartition(".")[0] for key in tensors}).items()}
    for key, tensor in tensors.items():
        path, _, kind = key.rpartition(".")
        yield f"model.diffusion_model.{names[path]}.{kind}", tensor


def _clip(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for key, tensor in tensors.items():
        yield f"conditioner.embedders.0.transformer.text_model.{key.removeprefix('text_model.')}", tensor
    positions = torch.arange(77).unsqueeze(0)
    yield "conditioner.embedders.0.transformer.text_model.embeddings.position_ids", positions


def _open_clip(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    plain = {key.removeprefix("text_model."): tensor for key, tensor in tensors.items()}
    start = "conditioner.embedders.1.model."
    for key, tensor in plain.items():
        if key == "text_projection.weight":
            yield f"{start}text_projection", tensor.T
        elif match := re.fullmatch(r"encoder\.layers\.(\d+)\.self_attn\.q_proj\.(weight|bias)", key):
            parts = [plain[key.replace("q_proj", name)] for name in ("q_proj", "k_proj", "v_proj")]
            yield f"{start}transformer.resblocks.{match[1]}.attn.in_proj_{match[2]}", torch.cat(parts)
        elif not re.search(r"\.self_attn\.[kv]_proj\.", key):
            name = key
            for ours, theirs in OPEN_CLIP:
                name = name.replace(ours, theirs)
            yield f"{start}{name}", tensor
    yield f"{start}logit_scale", torch.tensor(4.6052)


def _vae(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    blocks = 1 + max(int(match[1]) for key in tensors if (match := re.search(r"up_blocks\.(\d+)", key)))
    for key, tensor in tensors.items():
        name = re.sub(r"down_blocks\.(\d+)\.resnets\.", r"down.\1.block.", key)
        name = re.sub(
            r"up_blocks\.(\d+)\.resnets\.", lambda match: f"up.{blocks - 1 - int(match[1])}.block.", name
        )
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0\.", r"down.\1.downsample.", name)
        name = re.sub(
            r"up_blocks\.(\d+)\.upsamplers\.0\.",
            lambda match: f"up.{blocks - 1 - int(match[1])}.upsample.",
            name,
        )
        name = re.sub(r"mid_block\.resnets\.(\d)\.", lambda match: f"mid.block_{int(match[1]) + 1}.", name)
        if match := re.fullmatch(r"(\w+)\.mid_block\.attentions\.0\.(.+)\.(weight|bias)", name):
            name = f"{match[1]}.mid.attn_1.{VAE_ATTENTION[match[2]]}.{match[3]}"
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        convolution = "attn_1" in name and tensor.dim() == 2
        yield f"first_stage_model.{name}", tensor[:, :, None, None] if convolution else tensor


def read_folder_tensors(folder: Path, parts: list[str]) -> dict[str, dict[str, Tensor]]:
    return {
        part: {key: tensor for file in weight_files(folder, part) for key, tensor in load_file(file).items()}
        for part in parts
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("file", type=Path)
    parser.add_argument("parts", nargs="*", default=list(COMPONENTS))
    options = parser.parse_args()
    metadata = {
        "modelspec.sai_model_spec": "1.0.1",
        "modelspec.architecture": "stable-diffusion-xl-v1-base",
        "modelspec.title": options.file.stem,
    }
    save_file(to_single_file(read_folder_tensors(options.folder, options.parts)), options.file, metadata)
    options.file.chmod(0o644)


if __name__ == "__main__":
    main()
