"""The families of models that files are made for, and what tells them in names, shapes and metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

SD1, SD2, SD3 = "Stable Diffusion 1.5", "Stable Diffusion 2", "Stable Diffusion 3"
SDXL, REFINER, FLUX = "SDXL", "the SDXL refiner", "Flux"

# How many numbers a UNet's cross-attention takes for each token: the width of its text encoders together.
CROSS_WIDTHS = {768: SD1, 1024: SD2, 2048: SDXL, 1280: REFINER}
# The width of the transformer's stream, for the two families whose diffusers names are alike.
TRANSFORMER_WIDTHS = {1536: SD3, 2432: SD3, 3072: FLUX}

# Parts of names that only one family has, with dots and underscores alike.
MARKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (FLUX, re.compile(r"double_blocks_\d|single_transformer_blocks_\d|single_blocks_\d")),
    (SD3, re.compile(r"joint_blocks_\d|joint_transformer")),
    ("Lumina 2 or Z-Image", re.compile(r"noise_refiner_\d|context_refiner_\d")),
    ("Wan", re.compile(r"blocks_\d+_cross_attn_")),
    (SDXL, re.compile(r"lora_te2_|^text_encoder_2_|add_embedding_linear|label_emb_0_0")),
    (SDXL, re.compile(r"(?:attentions_\d_|blocks_\d_1_|middle_block_1_)transformer_blocks_[1-9]_")),
)
# Levels at which SDXL's UNet has no attention; SD 1.5 and 2 have it there.
SHALLOW_ATTENTION = re.compile(
    r"(?:down_blocks_0_attentions|up_blocks_3_attentions|input_blocks_[12]_1_|output_blocks_(?:9|10|11)_1_)"
)
ONE_TEXT_ENCODER = re.compile(r"lora_te_text_model_")

# `modelspec.architecture` and kohya's `ss_base_model_version`, in the order in which they are tried.
METADATA_FIELDS = ("modelspec.architecture", "ss_base_model_version")
METADATA_NAMES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (REFINER, re.compile(r"stable-diffusion-xl-v1-refiner|sdxl_refiner")),
    (SDXL, re.compile(r"stable-diffusion-xl|sdxl")),
    (SD3, re.compile(r"stable-diffusion-(?:v?3)|sd_?3")),
    (SD2, re.compile(r"stable-diffusion-v2|sd_?v?2")),
    (SD1, re.compile(r"stable-diffusion-v1|sd_?v?1")),
    (FLUX, re.compile(r"flux")),
)


def family_of_names(names: Iterable[str]) -> tuple[str, str] | None:
    """(family, why) by names that only one family has."""
    plain = [name.replace(".", "_") for name in names]
    for family, mark in MARKS:
        if found := _first(mark, plain):
            return family, f"it has names such as {found}"
    if found := _first(SHALLOW_ATTENTION, plain):
        return f"{SD1} or 2", f"it has {found}"
    if _first(ONE_TEXT_ENCODER, plain):
        return f"{SD1} or 2", "it has one text encoder"
    return None


def _first(pattern: re.Pattern[str], names: list[str]) -> str | None:
    return next((found[0].strip("_") for name in names if (found := pattern.search(name))), None)


def family_of_metadata(metadata: Mapping[str, str]) -> tuple[str, str] | None:
    """(family, why) by what the trainer wrote down."""
    for field in METADATA_FIELDS:
        text = metadata.get(field, "")[:200].casefold()
        for family, pattern in METADATA_NAMES:
            if pattern.search(text):
                return family, f"its metadata's {field} says {text!r}"
    return None
