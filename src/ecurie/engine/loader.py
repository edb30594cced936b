"""From a diffusers SDXL folder to a model in memory, without asking any network."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from ecurie.adapters.patcher import Patcher
from ecurie.engine.devices import Compute
from ecurie.errors import WeightsInvalid
from ecurie.formats.diffusers_folder import FolderFacts
from ecurie.formats.inventory import PARTS, Part, read_inventory


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of one checkpoint, on the compute device. `scheduler_config` is the published one.

    `zero_empty_negative`: the model was trained with zeros as its empty condition. `patcher` owns the weights
    of the UNet and the text encoders.
    """

    folder: Path
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer]
    text_encoders: tuple[CLIPTextModel, CLIPTextModelWithProjection]
    scheduler_config: dict[str, object]
    zero_empty_negative: bool
    patcher: Patcher


def load_model(folder: Path, facts: FolderFacts, compute: Compute) -> Model:
    """Read every part in `compute.dtype` and put it on the device.

    `facts` is what `read_folder` says of it. Raises WeightsInvalid.
    """
    parts = {}
    classes = {
        "unet": UNet2DConditionModel,
        "vae": AutoencoderKL,
        "text_encoder": CLIPTextModel,
        "text_encoder_2": CLIPTextModelWithProjection,
    }
    try:
        for name, kind in classes.items():
            module = kind.from_pretrained(
                folder / name,
                torch_dtype=compute.dtype,
                variant=facts.variants[name],
                use_safetensors=True,
                local_files_only=True,
            )
            parts[name] = module.to(compute.device).eval().requires_grad_(False)
        tokenizers = tuple(
            CLIPTokenizer.from_pretrained(folder / name, local_files_only=True)
            for name in ("tokenizer", "tokenizer_2")
        )
        scheduler_config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise WeightsInvalid(f"{folder} cannot be loaded: {error}") from error
    patched: dict[Part, nn.Module] = {name: parts[name] for name in PARTS}
    return Model(
        folder=folder,
        unet=parts["unet"],
        vae=parts["vae"],
        tokenizers=(tokenizers[0], tokenizers[1]),
        text_encoders=(parts["text_encoder"], parts["text_encoder_2"]),
        scheduler_config=scheduler_config,
        zero_empty_negative=bool(index.get("force_zeros_for_empty_prompt", True)),
        patcher=Patcher(patched, read_inventory(folder, facts.stamp)),
    )
