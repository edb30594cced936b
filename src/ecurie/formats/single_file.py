"""Community checkpoints: one file in the original SGM layout, its tensors by diffusers' and transformers'
names.

Layout: `model.diffusion_model.` (UNet), `conditioner.embedders.0.transformer.` (CLIP as transformers has it),
`conditioner.embedders.1.model.` (OpenCLIP's own names), `first_stage_model.` (VAE)
(https://github.com/Stability-AI/generative-models, `sgm/models/diffusion.py`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ecurie.errors import NotBuiltYet, WeightsInvalid
from ecurie.formats import families
from ecurie.formats.identify import Kind, identify
from ecurie.formats.open_clip_names import transformers_clip
from ecurie.formats.parts import Parts, Source
from ecurie.formats.safetensors_file import Header, read_header
from ecurie.formats.sgm_names import from_sgm
from ecurie.formats.shipped import sdxl_without_weights
from ecurie.formats.vae_names import diffusers_vae

PREFIXES = {
    "unet": "model.diffusion_model.",
    "text_encoder": "conditioner.embedders.0.transformer.",
    "text_encoder_2": "conditioner.embedders.1.model.",
    "vae": "first_stage_model.",
}
DOWNSAMPLER = re.compile(r"input_blocks\.(\d+)\.0\.op\.weight")
# Not weights: positions that CLIP counts itself, the temperature of its training.
IGNORED = ("embeddings.position_ids", "logit_scale")
V_PREDICTION = {"prediction_type": "v_prediction"}
# A schedule that ends in pure noise has no step to skip at its end (Lin et al. 2023, arXiv:2305.08891).
ZERO_SNR = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}


def read_single_file(file: Path, base: Parts | None) -> Parts:
    """What the file has, and what `base` lends; without a base, SDXL's own configurations.

    Raises WeightsMissing, WeightsInvalid for another kind of file, or NotBuiltYet for inpainting models.
    """
    header = read_header(file)
    _refuse_other_kinds(file, header)
    frame = base or sdxl_without_weights()
    tensors = {**frame.tensors, **_components(file, header)}
    _check_width(file, tensors["unet"], frame.configs["unet"])
    return dataclasses.replace(
        frame,
        tensors=tensors,
        scheduler_config=frame.scheduler_config | _prediction_of(header),
    )


def _refuse_other_kinds(file: Path, header: Header) -> None:
    identity = identify(header)
    if identity.kind not in (Kind.CHECKPOINT, Kind.UNET):
        raise WeightsInvalid(f"{file} is {identity.kind.value}, not a model")
    if identity.family not in (None, families.SDXL):
        raise WeightsInvalid(
            f"{file} is a model for {identity.family} ({identity.why}); Écurie runs SDXL",
            remedy="use a checkpoint of the SDXL family",
        )
    if "inpainting" in identity.detail:
        raise NotBuiltYet(f"{file} is an inpainting model, which cannot be run yet")


def _components(file: Path, header: Header) -> dict[str, Mapping[str, Source]]:
    """The tensors of every component in the file; training leftovers such as `denoiser.sigmas` are left
    out."""
    prefixes = dict(PREFIXES)
    if not any(key.startswith(prefixes["unet"]) for key in header.tensors):
        # A UNet alone, as the nodes of some tools load it, with or without a short prefix.
        short = any(key.startswith("diffusion_model.") for key in header.tensors)
        prefixes = {"unet": "diffusion_model." if short else ""}
    found = {
        component: {
            key.removeprefix(prefix): Source(file, key, info.shape)
            for key, info in header.tensors.items()
            if key.startswith(prefix) and not key.endswith(IGNORED)
        }
        for component, prefix in prefixes.items()
    }
    return {component: _renamed(component, tensors) for component, tensors in found.items() if tensors}


def _renamed(component: str, tensors: dict[str, Source]) -> dict[str, Source]:
    if component == "unet":
        layers = _layers_per_block(tensors)
        pairs = ((key.rpartition("."), source) for key, source in tensors.items())
        return {f"{from_sgm(module, layers)}.{kind}": source for (module, _, kind), source in pairs}
    if component == "vae":
        return diffusers_vae(tensors)
    return transformers_clip(tensors) if component == "text_encoder_2" else tensors


def _layers_per_block(tensors: Mapping[str, Source]) -> int:
    """The first downsampler follows the first block's ResNets."""
    places = [int(match[1]) for key in tensors if (match := DOWNSAMPLER.fullmatch(key))]
    return min(places, default=3) - 1


def _check_width(file: Path, unet: Mapping[str, Source], config: Mapping[str, Any]) -> None:
    first = unet.get("conv_in.weight")
    wanted = (config["block_out_channels"][0], config["in_channels"])
    if first is None or first.shape[:2] != wanted:
        found = "no first convolution" if first is None else f"{first.shape[0]} channels"
        raise WeightsInvalid(
            f"{file} is no SDXL model: its UNet begins with {found}, not {wanted[0]}",
            remedy="for a model of another size, name one with its configuration as base in the catalogue",
        )


def _prediction_of(header: Header) -> dict[str, object]:
    """v-prediction is marked by an empty tensor, its zero terminal SNR by another; or by the metadata."""
    stated = header.metadata.get("modelspec.prediction_type", "").casefold()
    v_prediction = "v_pred" in header.tensors or stated in ("v", "v_prediction")
    return (V_PREDICTION if v_prediction else {}) | (ZERO_SNR if "ztsnr" in header.tensors else {})
