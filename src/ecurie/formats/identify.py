"""What a safetensors file is, told from its header alone: by names, then shapes, then metadata.

Names and shapes decide; metadata, which anyone may write, is asked only where they leave it open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from ecurie.formats import families
from ecurie.formats.raw_modules import RawModule, raw_modules
from ecurie.formats.safetensors_file import Header


class Kind(StrEnum):
    """Each value stands after "it is"."""

    ADAPTER = "a LoRA or LyCORIS adapter"
    CHECKPOINT = "a checkpoint"
    UNET = "a UNet or transformer alone"
    VAE = "a VAE"
    TEXT_ENCODER = "a text encoder"
    IMAGE_ENCODER = "an image encoder"
    EMBEDDING = "a textual-inversion embedding"
    IP_ADAPTER = "an IP-Adapter"
    CONTROLNET = "a ControlNet"
    UPSCALER = "an upscaler"
    UNKNOWN = "of a kind that is not known here"


ADVICE = {
    Kind.CHECKPOINT: "name it as the request's model, not as an adapter",
    Kind.UNET: "name it as a model's source in the catalogue, with a base that lends the rest",
    Kind.VAE: "a VAE belongs to a model: it is no adapter",
    Kind.TEXT_ENCODER: "a part of a model is no adapter: use the whole model's folder",
    Kind.IMAGE_ENCODER: "it is no adapter: it is what an IP-Adapter in the catalogue names as image_encoder",
    Kind.IP_ADAPTER: "it is no LoRA: put it under ip_adapters in the catalogue and send reference_images",
    Kind.EMBEDDING: "put it into models/embeddings and write its name into the prompt",
    Kind.CONTROLNET: "ControlNets cannot be used",
    Kind.UPSCALER: "upscalers cannot be used",
    Kind.UNKNOWN: "check where the file comes from: no known adapter has such keys",
}
# Names that only one kind has, tried in this order; each is looked for at the start of a key.
STARTS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (Kind.IP_ADAPTER, ("ip_adapter.", "image_proj.", "image_proj_model.")),
    (Kind.CONTROLNET, ("control_model.", "controlnet_", "input_hint_block.", "lora_controlnet")),
)
WHOLE_FILES: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    (Kind.CHECKPOINT, ("model.diffusion_model.", "cond_stage_model.", "conditioner.", "first_stage_model.")),
    (Kind.EMBEDDING, ("clip_l", "clip_g", "emb_params", "string_to_param.")),
    (Kind.IMAGE_ENCODER, ("vision_model.", "embeddings.patch_embedding.")),
    (Kind.VAE, ("encoder.down", "decoder.up", "quant_conv.", "post_quant_conv.")),
    (Kind.UNET, ("down_blocks.", "input_blocks.", "double_blocks.", "joint_blocks.", "transformer_blocks.")),
    (Kind.TEXT_ENCODER, ("text_model.", "encoder.layers.", "encoder.block.", "transformer.resblocks.")),
    (Kind.UPSCALER, ("conv_first.", "body.0.rdb1.", "model.1.sub.")),
)
COMPONENTS = {
    "UNet": ("model.diffusion_model.",),
    "VAE": ("first_stage_model.",),
    "text encoder": ("conditioner.embedders.0.", "cond_stage_model."),
    "second text encoder": ("conditioner.embedders.1.",),
}
CROSS_ATTENTION = re.compile(r"attn2[._]to_[kv]$")
CROSS_KEY = re.compile(r"attn2\.to_k\.weight$|ip_adapter\.\d+\.to_k_ip\.weight$")
JOINT_ATTENTION = re.compile(r"transformer_blocks[._]\d+[._]attn[._](?:to_[qkv]|add_[qkv]_proj)$")
FIRST_CONVOLUTIONS = ("model.diffusion_model.input_blocks.0.0.weight", "conv_in.weight")
TOKEN_EMBEDDING = re.compile(r"token_embedding\.weight$")
TOKEN_WIDTHS = {
    768: "CLIP-L: SD 1.5's, and SDXL's first",
    1024: "OpenCLIP-H: SD 2's",
    1280: "OpenCLIP-G: SDXL's second",
}
INPAINTING_CHANNELS = 9


@dataclass(frozen=True, slots=True)
class Identity:
    """`family` is the kind of model that it is or was made for, `why` how that was told; None: not told.

    `components` are the parts of a model that a checkpoint holds, `missing` those it lacks. `detail` is what
    else its shapes say: `inpainting`, `v-prediction`.
    """

    kind: Kind
    family: str | None = None
    why: str | None = None
    components: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    detail: str = ""

    @property
    def sentence(self) -> str:
        """For messages: `a LoRA or LyCORIS adapter for Flux (it has names such as double_blocks_0)`."""
        family = f" for {self.family} ({self.why})" if self.family else ""
        detail = f", {self.detail}" if self.detail else ""
        other = "" if self.kind in (Kind.ADAPTER, Kind.UNKNOWN) else ", not an adapter"
        return f"{self.kind.value}{family}{detail}{other}"

    @property
    def remedy(self) -> str:
        """What to do when this was given as an adapter and does not fit."""
        if self.kind is not Kind.ADAPTER:
            return ADVICE[self.kind]
        if self.family in (None, families.SDXL):
            return "use an adapter that was trained for this kind of model"
        return "use an adapter that was trained for SDXL"


def identify(header: Header) -> Identity:
    """Never raises, whatever the header holds."""
    keys = list(header.tensors)
    kind = _kind_by(STARTS, keys)
    modules, _ = raw_modules(header)
    if kind is None and modules:
        family, why = _family_of_adapter(keys, modules, header) or (None, None)
        return Identity(Kind.ADAPTER, family, why)
    kind = kind or _kind_by(WHOLE_FILES, keys) or _single_embedding(header) or Kind.UNKNOWN
    family, why = _family_of_whole(kind, header) or (None, None)
    components, missing = _components(keys, family) if kind is Kind.CHECKPOINT else ((), ())
    return Identity(kind, family, why, components, missing, _detail(kind, header))


def _kind_by(table: tuple[tuple[Kind, tuple[str, ...]], ...], keys: list[str]) -> Kind | None:
    return next((kind for kind, starts in table if any(key.startswith(starts) for key in keys)), None)


def _single_embedding(header: Header) -> Kind | None:
    """Some trainers name the one tensor after the token: `<my-cat>`."""
    shapes = [info.shape for info in header.tensors.values()]
    width = shapes[0][-1:] if len(shapes) == 1 and len(shapes[0]) in (1, 2) else ()
    return Kind.EMBEDDING if width in ((768,), (1024,), (1280,)) else None


def _family_of_adapter(keys: list[str], modules: list[RawModule], header: Header) -> tuple[str, str] | None:
    for module in modules:
        width = module.input_width
        if CROSS_ATTENTION.search(module.name) and width in families.CROSS_WIDTHS:
            return families.CROSS_WIDTHS[width], f"its cross-attention takes {width} numbers for each token"
        if JOINT_ATTENTION.search(module.name) and width in families.TRANSFORMER_WIDTHS:
            return families.TRANSFORMER_WIDTHS[width], f"its transformer is {width} wide"
    return families.family_of_names(keys) or families.family_of_metadata(header.metadata)


def _family_of_whole(kind: Kind, header: Header) -> tuple[str, str] | None:
    for key, info in header.tensors.items():
        width = info.shape[1] if len(info.shape) == 2 else None
        if width in families.CROSS_WIDTHS and CROSS_KEY.search(key):
            return families.CROSS_WIDTHS[width], f"its cross-attention takes {width} numbers for each token"
    if kind is Kind.EMBEDDING:
        return _family_of_embedding(header)
    named = families.family_of_names(header.tensors) if kind in (Kind.CHECKPOINT, Kind.UNET) else None
    return named or families.family_of_metadata(header.metadata)


def _family_of_embedding(header: Header) -> tuple[str, str] | None:
    if "clip_g" in header.tensors:
        return families.SDXL, "it has vectors for two text encoders"
    widths = {info.shape[-1] for info in header.tensors.values() if info.shape}
    family = next((families.CROSS_WIDTHS[width] for width in widths & {768, 1024}), None)
    return (family, f"its vectors are {', '.join(map(str, widths))} wide") if family else None


def _components(keys: list[str], family: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    held = {name: any(key.startswith(starts) for key in keys) for name, starts in COMPONENTS.items()}
    if family != families.SDXL:
        # Only SDXL's base has a second text encoder.
        held = {name: there for name, there in held.items() if there or name != "second text encoder"}
    return (
        tuple(name for name, there in held.items() if there),
        tuple(name for name, there in held.items() if not there),
    )


def _detail(kind: Kind, header: Header) -> str:
    found = []
    for key in FIRST_CONVOLUTIONS if kind in (Kind.CHECKPOINT, Kind.UNET) else ():
        info = header.tensors.get(key)
        if info is not None and info.shape[1:2] == (INPAINTING_CHANNELS,):
            found.append("inpainting")
    if kind is Kind.CHECKPOINT and "v_pred" in header.tensors:
        found.append("v-prediction")
    if kind is Kind.TEXT_ENCODER:
        widths = (info.shape[-1] for key, info in header.tensors.items() if TOKEN_EMBEDDING.search(key))
        found += [TOKEN_WIDTHS[width] for width in widths if width in TOKEN_WIDTHS]
    return ", ".join(found)
