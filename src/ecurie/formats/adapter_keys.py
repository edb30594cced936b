"""The keys of adapter files: from a tensor's name to the module and role that it has.

Namings: kohya (`lora_unet_…`, `lora_te1_…`, `lora_te2_…`, with diffusers' or SGM's block names), PEFT and
diffusers (`unet.….lora_A.weight`), diffusers' old attention processors (`….to_q_lora.down.weight`), and
OneTrainer's: kohya's with dots for some or all underscores (`lora_unet.down_blocks.…`,
`lora_unet_…_attn1.to_q.hada_w1_a`), and the dotted one of the Open Model Initiative (`unet.input_blocks.…`,
`clip_l.…`, `clip_g.…`; https://github.com/Nerogar/OneTrainer, `modules/util/convert`).
"""

from __future__ import annotations

from dataclasses import dataclass

from ecurie.formats.inventory import PARTS, Inventory, Part, canonical_path
from ecurie.formats.key_names import KOHYA_PREFIXES, OLD_PROCESSOR, ROLE, ROLES
from ecurie.formats.sgm_names import sgm_names

PEFT_PREFIX = "base_model.model."
OMI_PARTS: dict[str, Part] = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a tensor belongs. `name` is the module as its own trainer names it, without the part: what the
    patterns of a PEFT configuration are written for."""

    naming: str
    part: Part
    path: str
    role: str
    name: str


class Names:
    """From a tensor's key to its place, for one model."""

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

    def place(self, key: str) -> Placed | None:
        if old := OLD_PROCESSOR.fullmatch(key):
            layer = "to_out.0" if old[2] == "to_out" else old[2]
            return self._dotted("diffusers (attention processors)", f"{old[1]}.{layer}", old[3])
        match = ROLE.fullmatch(key)
        if match is None:
            return None
        module, role = match[1], ROLES[match[2]]
        if module.startswith(("lora_", "lycoris_")):
            return self._underscored(module, role)
        return self._dotted("PEFT", module.removeprefix(PEFT_PREFIX), role)

    def _underscored(self, module: str, role: str) -> Placed | None:
        flat = module.replace(".", "_")
        for prefix, part in KOHYA_PREFIXES.items():
            if flat.startswith(prefix):
                found = self._flat[part].get(flat.removeprefix(prefix))
                if found is None:
                    return None
                naming = "OneTrainer" if "." in module else found[1]
                return Placed(naming, part, found[0], role, module)
        return None

    def _dotted(self, naming: str, module: str, role: str) -> Placed | None:
        start, _, name = module.partition(".")
        if start in OMI_PARTS:
            return self._known("OneTrainer (OMI)", OMI_PARTS[start], name, role, name)
        for part in PARTS:
            if start == part:
                if part == "unet" and name in self._sgm:
                    return self._known("OneTrainer (OMI)", part, self._sgm[name], role, name)
                return self._known(naming, part, name, role, name)
        return self._known(naming, "unet", module, role, module)

    def _known(self, naming: str, part: Part, path: str, role: str, name: str) -> Placed | None:
        path = canonical_path(part, path)
        return Placed(naming, part, path, role, name) if path in self._inventory[part] else None
