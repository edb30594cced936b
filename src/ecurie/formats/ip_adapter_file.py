"""What an IP-Adapter file is, told from its header: which kind, which models and image encoder it is for.

Two kinds are known for SDXL (https://github.com/tencent-ailab/IP-Adapter): plain, a projection of CLIP's
image embedding to four tokens, and plus, a resampler over CLIP's penultimate hidden states.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ecurie.errors import AdapterInvalid, AdapterMismatch
from ecurie.formats.identify import Kind, identify
from ecurie.formats.inventory import Inventory
from ecurie.formats.key_names import shown
from ecurie.formats.safetensors_file import Header, Stamp, TensorInfo, read_header, stamp_of

Shape = tuple[int, ...]
Tensors = Mapping[str, TensorInfo]
# The published plain adapters have four; the file does not say.
PLAIN_TOKENS = 4
BLOCK_ORDER = {"down_blocks": 0, "up_blocks": 1, "mid_block": 2}
CROSS_ATTENTION = re.compile(r"(.+\.attn2)\.to_k")
PLUS_LAYERS, FEED_FORWARD, HEAD_WIDTH = 4, 4, 64
FLOATS = {"F32", "F16", "BF16"}
SEND_ANOTHER = "use an IP-Adapter for SDXL, plain or plus, such as ip-adapter_sdxl_vit-h.safetensors"
# Kinds that need what is not here; each mark is the beginning of a key.
REFUSED = {
    "image_proj.perceiver_resampler.": "a FaceID Plus adapter: it needs the numbers of a face recogniser",
    "image_proj.proj.0.": "a FaceID or Full adapter: it takes something else than a picture's CLIP embedding",
    "image_proj_model.": "a training checkpoint of an IP-Adapter, not the file that is published from it",
}


class IpAdapterKind(StrEnum):
    PLAIN = "plain"
    PLUS = "plus"


@dataclass(frozen=True, slots=True)
class IpAdapterFile:
    """`encoder_width` is what it takes of the image encoder: numbers of the embedding (plain) or of each
    hidden state (plus); `tokens` are those that it makes of one picture. `layers` are the paths of the
    cross-attentions that it adds to, in the order of the file's numbers."""

    file: Path
    kind: IpAdapterKind
    encoder_width: int
    tokens: int
    layers: tuple[str, ...]
    header: Header
    stamp: Stamp


def read_ip_adapter(file: Path, inventory: Inventory) -> IpAdapterFile:
    """Read the header and check every key and shape against the model.

    Raises WeightsMissing, WeightsInvalid (no safetensors file), AdapterInvalid (a damaged adapter) or
    AdapterMismatch (something else, or made for another kind of model).
    """
    stamp = stamp_of(file)
    header = read_header(file)
    _refuse_other_kinds(file, header)
    layers = cross_attentions(inventory)
    _check_layers(file, header, inventory, layers)
    cross_width = inventory["unet"][f"{layers[0]}.to_k"].shape[1]
    kind = IpAdapterKind.PLUS if "image_proj.latents" in header.tensors else IpAdapterKind.PLAIN
    check = _plus_projection if kind is IpAdapterKind.PLUS else _plain_projection
    width, tokens = check(file, header.tensors, cross_width)
    return IpAdapterFile(file, kind, width, tokens, layers, header, stamp)


def cross_attentions(inventory: Inventory) -> tuple[str, ...]:
    """Their paths in the order in which IP-Adapter files count them: down, up, middle. Number 2·j + 1 of a
    file is the j-th of them, since the self-attentions are counted too."""
    paths = [found[1] for path in inventory["unet"] if (found := CROSS_ATTENTION.fullmatch(path))]
    return tuple(sorted(paths, key=_place_in_order))


def layer_key(number: int, role: str) -> str:
    """The file's tensor for the `number`-th cross-attention; `role` is k or v."""
    return f"ip_adapter.{2 * number + 1}.to_{role}_ip.weight"


def _place_in_order(path: str) -> tuple[int, tuple[int, ...]]:
    return BLOCK_ORDER[path.partition(".")[0]], tuple(map(int, re.findall(r"\.(\d+)", path)))


def _refuse_other_kinds(file: Path, header: Header) -> None:
    identity = identify(header)
    if identity.kind is not Kind.IP_ADAPTER:
        raise AdapterMismatch(f"{file} is no IP-Adapter: it is {identity.sentence}", remedy=SEND_ANOTHER)
    if identity.family not in (None, "SDXL"):
        raise AdapterMismatch(
            f"{file} is an IP-Adapter for {identity.family} ({identity.why}), not for SDXL",
            remedy=SEND_ANOTHER,
        )
    for key in header.tensors:
        for mark, what in REFUSED.items():
            if key.startswith(mark):
                raise AdapterMismatch(f"{file} is {what} ({key})", remedy=SEND_ANOTHER)
        if "_lora." in key:
            raise AdapterMismatch(
                f"{file} is a FaceID adapter: it brings a LoRA ({key})", remedy=SEND_ANOTHER
            )
    wrong = [key for key, info in header.tensors.items() if info.dtype not in FLOATS]
    if wrong:
        raise AdapterInvalid(f"{file}: {shown(wrong)} are not of a dtype that weights have here")


def _check_layers(file: Path, header: Header, inventory: Inventory, layers: tuple[str, ...]) -> None:
    expected = {
        layer_key(number, role): inventory["unet"][f"{path}.to_{role}"].shape
        for number, path in enumerate(layers)
        for role in "kv"
    }
    _refuse_wrong(file, header.tensors, expected, "ip_adapter.")


def _refuse_wrong(file: Path, tensors: Tensors, expected: Mapping[str, Shape], start: str) -> None:
    """Of the keys that begin with `start`, exactly those with these shapes must be there."""
    strangers = [key for key in tensors if key.startswith(start) and key not in expected]
    missing = [key for key in expected if key not in tensors]
    misshapen = [
        f"{key} ({'×'.join(map(str, tensors[key].shape))} instead of {'×'.join(map(str, shape))})"
        for key, shape in expected.items()
        if key in tensors and tensors[key].shape != shape
    ]
    for what, keys in (("lacks", missing), ("has unknown", strangers), ("has other shapes:", misshapen)):
        if keys:
            raise AdapterMismatch(
                f"{file} does not fit this model: it {what} {shown(keys)}", remedy=SEND_ANOTHER
            )


def _plain_projection(file: Path, tensors: Tensors, cross_width: int) -> tuple[int, int]:
    """(width of the image embedding, tokens)"""
    width = _axis(file, tensors, "image_proj.proj.weight", 1)
    rows = PLAIN_TOKENS * cross_width
    expected = {
        "image_proj.proj.weight": (rows, width),
        "image_proj.proj.bias": (rows,),
        "image_proj.norm.weight": (cross_width,),
        "image_proj.norm.bias": (cross_width,),
    }
    _refuse_wrong(file, tensors, expected, "image_proj.")
    return width, PLAIN_TOKENS


def _plus_projection(file: Path, tensors: Tensors, cross_width: int) -> tuple[int, int]:
    """(width of the hidden states, tokens). The resampler has four layers, feed-forward of four times its
    width and heads of 64, as its authors' code has it."""
    tokens, inner = (_axis(file, tensors, "image_proj.latents", axis) for axis in (1, 2))
    width = _axis(file, tensors, "image_proj.proj_in.weight", 1)
    heads = _axis(file, tensors, "image_proj.layers.0.0.to_q.weight", 0)
    expected: dict[str, Shape] = {"latents": (1, tokens, inner), "proj_in.weight": (inner, width)}
    expected |= {"proj_in.bias": (inner,), "proj_out.weight": (cross_width, inner)}
    expected |= dict.fromkeys(("proj_out.bias", "norm_out.weight", "norm_out.bias"), (cross_width,))
    for number in range(PLUS_LAYERS):
        norms = {
            f"{norm}.{kind}": (inner,)
            for norm in ("0.norm1", "0.norm2", "1.0")
            for kind in ("weight", "bias")
        }
        layer: dict[str, Shape] = {
            **norms,
            "0.to_q.weight": (heads, inner),
            "0.to_kv.weight": (2 * heads, inner),
            "0.to_out.weight": (inner, heads),
            "1.1.weight": (FEED_FORWARD * inner, inner),
            "1.3.weight": (inner, FEED_FORWARD * inner),
        }
        expected |= {f"layers.{number}.{key}": shape for key, shape in layer.items()}
    _refuse_wrong(
        file, tensors, {f"image_proj.{key}": shape for key, shape in expected.items()}, "image_proj."
    )
    if heads % HEAD_WIDTH:
        raise AdapterMismatch(f"{file} has heads of another width than {HEAD_WIDTH}", remedy=SEND_ANOTHER)
    return width, tokens


def _axis(file: Path, tensors: Tensors, key: str, axis: int) -> int:
    """Raises AdapterMismatch where there is no such tensor or axis."""
    shape = tensors[key].shape if key in tensors else ()
    if axis >= len(shape):
        raise AdapterMismatch(f"{file} does not fit this model: it lacks {key}", remedy=SEND_ANOTHER)
    return shape[axis]
