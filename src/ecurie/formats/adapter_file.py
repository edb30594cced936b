"""What an adapter file is, told from its header: naming, algorithms, and the module of every tensor.

Namings: kohya (`lora_unet_…`, `lora_te1_…`, `lora_te2_…`, with diffusers' or SGM's block names), PEFT and
diffusers (`unet.….lora_A.weight`), and diffusers' old attention processors (`….to_q_lora.down.weight`).
Everything is checked against the model's inventory: a key without a module, a shape that does not fit or a
missing part refuses the file. Never is a part of a file left out in silence.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ecurie.errors import AdapterInvalid, AdapterMismatch, NotBuiltYet
from ecurie.formats.algorithms import LOHA, LOKR, rank_if_fits, tell_algorithm
from ecurie.formats.inventory import PARTS, Inventory, Part, canonical_path
from ecurie.formats.safetensors_file import Header, read_header
from ecurie.formats.sgm_names import sgm_names

FLOATS = {"F64", "F32", "F16", "BF16"}
INTEGERS = {"I64", "I32", "I16", "I8", "U8"}
SHOWN_KEYS = 3
# The end of a key, after the module's name: the tensor's role.
ROLES = {
    "lora_down.weight": "down",
    "lora_up.weight": "up",
    "lora_mid.weight": "mid",
    "lora_A.weight": "down",
    "lora_B.weight": "up",
    "lora_A.default.weight": "down",
    "lora_B.default.weight": "up",
    "lora.down.weight": "down",
    "lora.up.weight": "up",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
    "lora_magnitude_vector.default.weight": "magnitude",
    "a1.weight": "a1",
    "a2.weight": "a2",
    "b1.weight": "b1",
    "b2.weight": "b2",
    "bm.weight": "bm",
    **{name: name for name in ("alpha", "dora_scale", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")},
    **{name: name for name in ("hada_t1", "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2")},
    **{name: name for name in ("lokr_w2_a", "lokr_w2_b", "lokr_t2", "oft_blocks", "rescale", "on_input")},
    **{name: name for name in ("diff", "diff_b", "w_norm", "b_norm", "weight")},
}
ROLE = re.compile(
    r"(.+?)\.(" + "|".join(re.escape(suffix) for suffix in sorted(ROLES, key=len, reverse=True)) + ")"
)
OLD_PROCESSOR = re.compile(r"(.+)\.processor\.(to_[qkv]|to_out)_lora\.(down|up)\.weight")
KOHYA_PREFIXES: dict[str, Part] = {
    "lora_unet_": "unet",
    "lycoris_": "unet",
    "lora_te1_": "text_encoder",
    "lora_te2_": "text_encoder_2",
}
# Marks of what is refused by name until it is built.
NOT_BUILT = {
    "oft_r": "PEFT's OFT",
    "oft_R": "PEFT's OFT",
    "ia3_l": "PEFT's (IA)^3",
    "bundle_emb": "bundled embeddings",
}


@dataclass(frozen=True, slots=True)
class AdapterModule:
    """The tensors of one module: `keys` by role. `rank` is 0 where the algorithm has none.

    `fixed_alpha` is an alpha from the file's metadata.
    """

    part: Part
    path: str
    algorithm: str
    keys: dict[str, str]
    rank: int
    fixed_alpha: float | None
    rank_stabilised: bool

    @property
    def label(self) -> str:
        """The algorithm as people call it: `LoRA`, `LoKr (DoRA)`."""
        return (
            f"{self.algorithm} (DoRA)" if self.keys.keys() & {"dora_scale", "magnitude"} else self.algorithm
        )


@dataclass(frozen=True, slots=True)
class AdapterFile:
    file: Path
    naming: str
    modules: tuple[AdapterModule, ...]
    metadata: dict[str, str]

    def ranks(self) -> dict[int, int]:
        """Rank to the number of modules that have it; 0 for algorithms without one."""
        return dict(sorted(Counter(module.rank for module in self.modules).items()))

    def algorithms(self) -> dict[str, int]:
        """Algorithm to the number of modules that use it."""
        return dict(sorted(Counter(module.label for module in self.modules).items()))


def read_adapter(file: Path, inventory: Inventory) -> AdapterFile:
    """Read the header and place every key.

    Raises WeightsMissing, WeightsInvalid (no safetensors file), AdapterInvalid (a damaged adapter),
    AdapterMismatch (made for another model) or NotBuiltYet (an algorithm that cannot be applied yet).
    """
    header = read_header(file)
    _refuse_unbuilt(file, header)
    names = _Names(inventory)
    groups: dict[tuple[Part, str], dict[str, str]] = {}
    namings: set[str] = set()
    strangers = []
    for key in header.tensors:
        placed = names.place(key)
        if placed is None:
            strangers.append(key)
            continue
        naming, part, path, role = placed
        namings.add(naming)
        keys = groups.setdefault((part, path), {})
        if role in keys:
            raise AdapterInvalid(f"{file} has two tensors for {part}.{path}: {keys[role]} and {key}")
        keys[role] = key
    if strangers or not groups:
        raise AdapterMismatch(
            f"{file}: {len(strangers)} of {len(header.tensors)} keys fit no module of this model: "
            + ", ".join(strangers[:SHOWN_KEYS])
            + _guess(header.tensors),
            remedy="use an adapter that was trained for SDXL",
        )
    options = _peft_options(header)
    modules = [
        _module(file, header, inventory, place, keys, options) for place, keys in sorted(groups.items())
    ]
    return AdapterFile(file, " and ".join(sorted(namings)), tuple(modules), header.metadata)


def _refuse_unbuilt(file: Path, header: Header) -> None:
    found = Counter(what for key in header.tensors for mark, what in NOT_BUILT.items() if mark in key)
    if found:
        listed = ", ".join(f"{what} ({count} tensors)" for what, count in found.items())
        raise NotBuiltYet(
            f"{file} holds {listed}, which cannot be applied yet; without them the picture would be another"
        )


class _Names:
    """From a tensor's key to (naming, part, module path, role), for one model."""

    def __init__(self, inventory: Inventory):
        self._inventory = inventory
        self._sgm = sgm_names(set(inventory["unet"]))
        self._flat: dict[Part, dict[str, tuple[str, str]]] = {}
        for part in PARTS:
            flat = {path.replace(".", "_"): (path, "kohya") for path in inventory[part]}
            if part != "unet":
                flat |= {f"text_model_{name}": found for name, found in flat.items()}
            else:
                sgm = {
                    name.replace(".", "_"): (path, "kohya (SGM blocks)") for name, path in self._sgm.items()
                }
                flat = sgm | flat
            self._flat[part] = flat

    def place(self, key: str) -> tuple[str, Part, str, str] | None:
        if old := OLD_PROCESSOR.fullmatch(key):
            layer = "to_out.0" if old[2] == "to_out" else old[2]
            return self._dotted("diffusers (attention processors)", f"{old[1]}.{layer}", old[3])
        match = ROLE.fullmatch(key)
        if match is None:
            return None
        module, role = match[1], ROLES[match[2]]
        for prefix, part in KOHYA_PREFIXES.items():
            if module.startswith(prefix):
                found = self._flat[part].get(module.removeprefix(prefix))
                return found and (found[1], part, found[0], role)
        return self._dotted("PEFT", module.removeprefix("base_model.model."), role)

    def _dotted(self, naming: str, module: str, role: str) -> tuple[str, Part, str, str] | None:
        for part in PARTS:
            if module.startswith(f"{part}."):
                path = canonical_path(part, module.removeprefix(f"{part}."))
                return (naming, part, path, role) if path in self._inventory[part] else None
        return (naming, "unet", module, role) if module in self._inventory["unet"] else None


def _module(
    file: Path,
    header: Header,
    inventory: Inventory,
    place: tuple[Part, str],
    keys: dict[str, str],
    options: dict[str, object],
) -> AdapterModule:
    part, path = place
    infos = {role: header.tensors[key] for role, key in keys.items()}
    shapes = {role: info.shape for role, info in infos.items()}
    algorithm = tell_algorithm(shapes)
    if algorithm is None:
        raise AdapterInvalid(f"{file}: {part}.{path} has only {', '.join(keys.values())}: a part is missing")
    if algorithm in (LOHA, LOKR) and "alpha" not in keys and not is_kohya(next(iter(keys.values()))):
        raise NotBuiltYet(
            f"{file}: PEFT keeps the alpha of {algorithm} in another file, so its strength is not known here",
            remedy="convert the adapter to LyCORIS' format, with its alpha",
        )
    for role, info in infos.items():
        # Trainers that are given a whole alpha write it as an integer.
        if info.dtype not in (FLOATS | INTEGERS if role in ("alpha", "on_input") else FLOATS):
            raise AdapterInvalid(f"{file}: {keys[role]} has dtype {info.dtype}, not a floating-point one")
    source = inventory[part][path]
    rank = rank_if_fits(algorithm, shapes, source.shape, has_bias=source.bias is not None)
    if rank is None:
        shown = ", ".join(f"{role} {'×'.join(map(str, shape)) or 'scalar'}" for role, shape in shapes.items())
        raise AdapterMismatch(
            f"{file}: the {algorithm} tensors of {part}.{path} ({shown}) do not fit its weight of "
            + "×".join(map(str, source.shape)),
            remedy="use an adapter that was trained for this kind of model",
        )
    alpha = options.get(f"{part}.lora_alpha")
    return AdapterModule(
        part,
        path,
        algorithm,
        keys,
        rank,
        float(alpha) if isinstance(alpha, int | float) else None,
        bool(options.get(f"{part}.use_rslora")),
    )


def is_kohya(key: str) -> bool:
    return key.startswith(tuple(KOHYA_PREFIXES))


def _peft_options(header: Header) -> dict[str, object]:
    """diffusers keeps PEFT's configuration as JSON in the metadata: `unet.lora_alpha` and the like.

    Raises NotBuiltYet when it gives modules different alphas: their pattern would be left out.
    """
    try:
        options = json.loads(header.metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        return {}
    if not isinstance(options, dict):
        return {}
    if any(key.endswith(".alpha_pattern") and value for key, value in options.items()):
        raise NotBuiltYet("an alpha_pattern in the adapter's metadata cannot be applied yet")
    return options


def _guess(keys: Iterable[str]) -> str:
    """What a file that does not fit seems to be for, by names that only one family has."""
    text = "\n".join(keys)
    families = {
        "Flux": ("double_blocks", "single_transformer_blocks"),
        "Stable Diffusion 3": ("joint_blocks", "joint_transformer"),
        "Stable Diffusion 1.5 or 2": ("lora_te_text_model", "down_blocks_0_attentions", "input_blocks_1_1"),
        "a checkpoint, not an adapter": ("model.diffusion_model.", "first_stage_model."),
        "a VAE, not an adapter": ("decoder.up_blocks", "encoder.down_blocks"),
        "a textual-inversion embedding": ("clip_l", "clip_g", "emb_params"),
    }
    for family, marks in families.items():
        if any(mark in text for mark in marks):
            return (
                f". It seems to be for {family}" if "not an" not in family else f". It seems to be {family}"
            )
    return ""
