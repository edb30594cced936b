"""From a checkpoint's files to a model in memory, without asking any network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from ecurie.adapters.parallel import Check, go_on
from ecurie.adapters.patcher import Patcher
from ecurie.adapters.pristine import Pristine
from ecurie.engine.devices import Compute
from ecurie.engine.modules import empty_module, fill
from ecurie.engine.tokenizers import load_tokenizer
from ecurie.formats.checkpoint import Checkpoint
from ecurie.formats.inventory import PARTS, Part
from ecurie.formats.parts import COMPONENTS

diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()


@dataclass(frozen=True, slots=True)
class Model:
    """The parts of one checkpoint, on the compute device. `patcher` owns the weights of UNet and text
    encoders; `refill` reads a dropped component from its file again, unpatched."""

    checkpoint: Checkpoint
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    tokenizers: tuple[CLIPTokenizer, CLIPTokenizer]
    text_encoders: tuple[CLIPTextModel, CLIPTextModelWithProjection]
    patcher: Patcher
    refill: Callable[[str, Check], None]


def load_model(
    checkpoint: Checkpoint,
    compute: Compute,
    spare: Mapping[str, nn.Module] = MappingProxyType({}),
    check: Check = go_on,
) -> Model:
    """Every part in `compute.dtype` on the device; mapped from its file where that is stored so.

    `spare` are modules by component, of the same configuration, that nobody uses: they are filled anew.
    Raises WeightsInvalid, or what `check` raises: `spare` must not be used then.
    """
    found = checkpoint.parts
    pristine = Pristine()
    parts: dict[str, Any] = {}
    for name in COMPONENTS:
        parts[name] = spare[name] if name in spare else empty_module(name, found.configs[name])
        check()
        fill(parts[name], found.tensors[name], pristine, compute, check)
    first, second = map(load_tokenizer, found.tokenizers)
    patched: dict[Part, nn.Module] = {name: parts[name] for name in PARTS}
    return Model(
        checkpoint=checkpoint,
        unet=parts["unet"],
        vae=parts["vae"],
        tokenizers=(first, second),
        text_encoders=(parts["text_encoder"], parts["text_encoder_2"]),
        patcher=Patcher(patched, checkpoint.inventory, pristine),
        refill=lambda name, check: fill(parts[name], found.tensors[name], pristine, compute, check),
    )
