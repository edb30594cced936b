"""The modules of an adapter file as its own key names tell them, without a model to place them in.

For describing files: of any family, and when the model is not on this machine. What is applied is placed by
`adapter_file`, against the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt, prod

from ecurie.formats.algorithms import (
    FULL,
    GLORA,
    IA3,
    LOHA,
    LOKR,
    LORA,
    NORM,
    OFT,
    Shape,
    Shapes,
    label,
    tell_algorithm,
)
from ecurie.formats.key_names import OLD_PROCESSOR, ROLE, ROLES
from ecurie.formats.safetensors_file import Header

INCOMPLETE = "incomplete"
# These alone make no adapter: every checkpoint has tensors that end so.
NOT_TELLING = {"weight", "alpha", "rescale"}
KOHYA_PREFIX = re.compile(r"(?:lora|lycoris)_(unet|te1|te2|te3|te|transformer)_|lycoris_")
KOHYA_PARTS = {
    "te": "text_encoder",
    "te1": "text_encoder",
    "te2": "text_encoder_2",
    "te3": "text_encoder_3",
    "transformer": "transformer",
}
DOTTED_PART = re.compile(r"(unet|text_encoder(?:_[23])?|transformer|diffusion_model)\.")
SGM_NAME = re.compile(r"(input|output)_blocks[._]\d|middle_block[._]\d")


def _lokr_inputs(shapes: Shapes) -> int:
    first = shapes.get("lokr_w1", shapes.get("lokr_w1_b", ()))
    second = shapes.get("lokr_w2", shapes.get("lokr_w2_b", ()))
    return prod((*first[1:], *second[1:]))


INPUTS: dict[str, Callable[[Shapes], int]] = {
    LORA: lambda shapes: prod(shapes["down"][1:]),
    LOHA: lambda shapes: prod(shapes["hada_w1_b"][1:]),
    LOKR: _lokr_inputs,
    GLORA: lambda shapes: prod(shapes["a1"][:1]),
    FULL: lambda shapes: prod(shapes["diff"][1:]),
}


@dataclass(frozen=True, slots=True)
class RawModule:
    """`keys` and `shapes` by role; `name` without the part's prefix, as the file writes it."""

    part: str
    name: str
    naming: str
    keys: dict[str, str]
    shapes: dict[str, Shape]

    @property
    def algorithm(self) -> str:
        return tell_algorithm(self.shapes) or INCOMPLETE

    @property
    def label(self) -> str:
        return label(self.algorithm, self.keys)

    @property
    def rank(self) -> int:
        """As far as the module's own tensors tell; the block size of OFT; 0 where there is none."""
        if self.algorithm in (FULL, IA3, NORM, INCOMPLETE):
            return 0
        roles = ("down", "hada_w1_b", "lokr_t2", "lokr_w2_b", "lokr_w1_b", "a2")
        shape = next((self.shapes[role] for role in roles if role in self.shapes), ())
        if self.algorithm == OFT:
            triangle = (self.shapes["oft_R"][-1:] or (0,))[0]
            return (1 + isqrt(1 + 8 * triangle)) // 2 if triangle else 0
        blocks = self.shapes.get("oft_blocks", ())
        return (shape[:1] or blocks[-1:] or (0,))[0]

    @property
    def input_width(self) -> int | None:
        """How many inputs (times the kernel's size) the module has, None where the algorithm does not say."""
        count = INPUTS.get(self.algorithm)
        return count(self.shapes) if count else None


def raw_modules(header: Header) -> tuple[list[RawModule], list[str]]:
    """The modules, sorted by part and name, and the keys that belong to none."""
    groups: dict[tuple[str, str, str], dict[str, str]] = {}
    strangers = []
    for key in header.tensors:
        placed = _place(key)
        if placed is None or placed[1] in groups.setdefault(placed[0], {}):
            strangers.append(key)
        else:
            groups[placed[0]][placed[1]] = key
    modules = []
    for (part, name, naming), keys in sorted(groups.items()):
        if keys.keys() <= NOT_TELLING:
            strangers += keys.values()
        else:
            shapes = {role: header.tensors[key].shape for role, key in keys.items()}
            modules.append(RawModule(part, name, naming, keys, shapes))
    return modules, strangers


def _place(key: str) -> tuple[tuple[str, str, str], str] | None:
    """((part, module's name, naming), role), None for what is no adapter's key."""
    if old := OLD_PROCESSOR.fullmatch(key):
        part, name = _dotted(f"{old[1]}.{old[2]}")
        return (part, name, "diffusers (attention processors)"), old[3]
    match = ROLE.fullmatch(key)
    if match is None:
        return None
    module, role = match[1], ROLES[match[2]]
    if prefix := KOHYA_PREFIX.match(module):
        part, name = KOHYA_PARTS.get(prefix[1], "unet"), module[prefix.end() :]
        return (part, name, "kohya (SGM blocks)" if SGM_NAME.match(name) else "kohya"), role
    part, name = _dotted(module.removeprefix("base_model.model."))
    return (part, name, "PEFT"), role


def _dotted(name: str) -> tuple[str, str]:
    match = DOTTED_PART.match(name)
    if match is None:
        return "unet", name
    return match[1].replace("diffusion_model", "transformer"), name[match.end() :]
