"""Textual-inversion embeddings of SDXL: n vectors for each text encoder, drawn where the prompt says a name.

Adapter files may bring some along as `bundle_emb.<name>.clip_l` and `.clip_g` (A1111's and OneTrainer's
bundle files); an embedding of its own is a file with `clip_l` and `clip_g`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ecurie.errors import AdapterInvalid, AdapterMismatch, NotBuiltYet
from ecurie.formats.identify import identify
from ecurie.formats.inventory import Inventory, Part
from ecurie.formats.safetensors_file import TensorInfo, read_header

BUNDLE_PREFIX = "bundle_emb."
BUNDLED = re.compile(
    r"bundle_emb\.(.+)\.(clip_l|clip_g|clip_l_out|clip_g_out|string_to_param\.\*)", re.DOTALL
)
ENCODERS: dict[str, Part] = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
PICKLES = (".pt", ".bin", ".ckpt", ".pth")
FLOATS = {"F64", "F32", "F16", "BF16"}
# The text encoders take 77 tokens, two of them start and end.
MAX_VECTORS = 75


@dataclass(frozen=True, slots=True)
class EmbeddingEntry:
    """An embedding of a file: its tensors' keys by text encoder, each `vectors`×width."""

    name: str
    keys: Mapping[Part, str]
    vectors: int


def is_bundled(key: str) -> bool:
    return key.startswith(BUNDLE_PREFIX)


def bundled_embeddings(
    file: Path, tensors: Mapping[str, TensorInfo], inventory: Inventory
) -> tuple[EmbeddingEntry, ...]:
    """The embeddings that an adapter file brings along, checked by shape.

    Raises AdapterInvalid, AdapterMismatch (made for another kind of model) or NotBuiltYet.
    """
    found: dict[str, dict[str, str]] = {}
    for key in filter(is_bundled, tensors):
        match = BUNDLED.fullmatch(key)
        if match is None or not match[1].strip():
            raise AdapterInvalid(f"{file}: {key} is no tensor of an embedding")
        if match[2].endswith("_out"):
            raise NotBuiltYet(f"{file}: {key} is an output embedding of OneTrainer, which cannot be applied")
        found.setdefault(match[1], {})[match[2]] = key
    return tuple(embedding_of(file, name, keys, tensors, inventory) for name, keys in sorted(found.items()))


def read_embedding(file: Path, inventory: Inventory) -> EmbeddingEntry:
    """The embedding that a file of its own holds, called like the file; no tensor is read.

    Raises WeightsMissing, WeightsInvalid (no safetensors file: a pickle), AdapterInvalid or AdapterMismatch
    (made for another kind of model, or no embedding).
    """
    if file.suffix.casefold() in PICKLES:
        raise AdapterInvalid(
            f"{file.name} is a pickle, which can run code when it is opened, and is refused",
            remedy="get the embedding as .safetensors",
        )
    header = read_header(file)
    if header.tensors.keys() != ENCODERS.keys():
        identity = identify(header)
        what = identity.sentence.removesuffix(", not an adapter")
        if header.tensors.keys() < ENCODERS.keys():
            what = f"{what}, with only {', '.join(header.tensors)}"
        raise AdapterMismatch(
            f"{file.name} is no embedding for SDXL, which has clip_l and clip_g: it is {what}",
            remedy="use an embedding that was trained for SDXL",
        )
    return embedding_of(file, file.stem, {role: role for role in ENCODERS}, header.tensors, inventory)


def embedding_of(
    file: Path,
    name: str,
    keys: Mapping[str, str],
    tensors: Mapping[str, TensorInfo],
    inventory: Inventory,
) -> EmbeddingEntry:
    """Check one embedding whose tensors' keys are given by `clip_l` and `clip_g`.

    Raises AdapterInvalid or AdapterMismatch.
    """
    if "string_to_param.*" in keys:
        raise AdapterMismatch(
            f"{file}: the embedding {name} is for one text encoder only: for Stable Diffusion 1.5 or 2",
            remedy="use an embedding that was trained for SDXL",
        )
    if keys.keys() != ENCODERS.keys():
        raise AdapterInvalid(
            f"{file}: the embedding {name} has only {', '.join(sorted(keys))}; SDXL needs both"
        )
    counts = {
        _vectors(file, keys[role], tensors[keys[role]], part, inventory) for role, part in ENCODERS.items()
    }
    if len(counts) != 1:
        raise AdapterInvalid(
            f"{file}: the embedding {name} has not as many vectors for one encoder as the other"
        )
    return EmbeddingEntry(name, {part: keys[role] for role, part in ENCODERS.items()}, counts.pop())


def _vectors(file: Path, key: str, info: TensorInfo, part: Part, inventory: Inventory) -> int:
    """How many vectors of this text encoder's width the tensor holds; one may be without its first axis."""
    width = inventory[part]["embeddings.token_embedding"].shape[1]
    if info.dtype not in FLOATS:
        raise AdapterInvalid(f"{file}: {key} has dtype {info.dtype}, not a floating-point one")
    if info.shape[-1:] != (width,) or len(info.shape) > 2:
        raise AdapterMismatch(
            f"{file}: {key} is {'×'.join(map(str, info.shape)) or 'a scalar'}, but {part} takes n×{width}",
            remedy="use an embedding that was trained for SDXL",
        )
    count = info.shape[0] if len(info.shape) == 2 else 1
    if not 1 <= count <= MAX_VECTORS:
        raise AdapterInvalid(f"{file}: {key} holds {count} vectors; a prompt takes 1 to {MAX_VECTORS}")
    return count
