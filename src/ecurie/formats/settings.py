"""The scalars of a module that its tensors do not hold: alpha, rank scaling, axes, from PEFT's configuration.

Source for what PEFT computes with each: PEFT 0.21.2, `peft/tuners/{lora,loha,lokr,oft,ia3}/layer.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from ecurie.errors import AdapterInvalid, NotBuiltYet
from ecurie.formats.adapter_keys import PEFT_PREFIX
from ecurie.formats.algorithms import GLORA, IA3, LOHA, LOKR, LORA, OFT, Shape, Shapes
from ecurie.formats.key_names import is_kohya
from ecurie.formats.peft_config import CONFIG_FILE, PEFT_FILE, PeftConfig

Settings = dict[str, float]
NEEDS_CONFIG = (
    f"keep {CONFIG_FILE} beside the file, which must then be called {PEFT_FILE}, "
    "or save it with diffusers' metadata"
)
# These initialisations change the base weights too, so the factors alone are not the adapter.
MOVED_BASES = ("pissa", "olora", "corda", "loftq", "lora_ga")
FIRST_WITH_VERSION = (0, 18)
MAX_TERMS = 100


@dataclass(frozen=True, slots=True)
class Subject:
    """The module that settings are wanted for; `key` is any of its keys, `name` as in `Placed`."""

    file: Path
    key: str
    name: str
    naming: str
    shapes: Shapes
    weight: Shape
    has_bias: bool
    rank_stabilised: bool


def trained_rank_stabilised(metadata: Mapping[str, str]) -> bool:
    """Whether kohya's metadata says that LyCORIS trained with `rs_lora`."""
    try:
        options = json.loads(metadata.get("ss_network_args", "{}"))
    except (ValueError, RecursionError):
        return False
    return isinstance(options, dict) and str(options.get("rs_lora")).lower() == "true"


def settings_of(algorithm: str, module: Subject, config: PeftConfig | None) -> Settings:
    """Raises AdapterInvalid when what matters is not said, NotBuiltYet for what cannot be applied yet."""
    if algorithm == LORA:
        return _lora(module, config)
    if algorithm in (LOHA, LOKR):
        return _lycoris(algorithm, module, config)
    if algorithm == GLORA:
        return _stabilised(module)
    if algorithm == OFT:
        return _oft(module, config)
    if algorithm == IA3 and "ia3_l" in module.shapes:
        return _ia3(module, config)
    return {}


def _missing(module: Subject, what: str) -> AdapterInvalid:
    return AdapterInvalid(
        f"{module.file}: {what} stands in PEFT's configuration, which is not with the file",
        remedy=NEEDS_CONFIG,
    )


def _lora(module: Subject, config: PeftConfig | None) -> Settings:
    if config is None:
        if module.key.startswith(PEFT_PREFIX) and "alpha" not in module.shapes:
            raise _missing(module, "the alpha of its LoRA")
        return {}
    start = config.fields.get("init_lora_weights")
    if isinstance(start, str) and start.startswith(MOVED_BASES):
        raise NotBuiltYet(
            f"{module.file} was started by {start}, which changes the base weights too",
            remedy="save it with path_initial_model_for_weight_conversion",
        )
    if config.fields.get("use_dora") and "magnitude" not in module.shapes:
        raise AdapterInvalid(f"{module.file}: {module.name} is DoRA but has no magnitude: a part is missing")
    settings = {"alpha": config.patterned("lora_alpha", "alpha_pattern", module.name)}
    return settings | ({"rank_stabilised": 1.0} if config.fields.get("use_rslora") else {})


def _lycoris(algorithm: str, module: Subject, config: PeftConfig | None) -> Settings:
    if "alpha" in module.shapes or is_kohya(module.key):
        return _stabilised(module) if algorithm == LOKR else {}
    if config is None or config.kind != algorithm.upper():
        raise _missing(module, f"the alpha of its {algorithm}")
    rank = config.patterned("r", "rank_pattern", module.name)
    if rank < 1:
        raise AdapterInvalid(f"{module.file}: its PEFT configuration has the rank {rank:g}")
    return {"alpha": config.patterned("alpha", "alpha_pattern", module.name), "peft_rank": rank}


def _stabilised(module: Subject) -> Settings:
    """LyCORIS writes the alpha of GLoRA and of a whole LoKr without it; that of the others includes it."""
    return {"rank_stabilised": 1.0} if module.rank_stabilised else {}


def _oft(module: Subject, config: PeftConfig | None) -> Settings:
    """`cayley_terms` 0 is the exact rotation; before 0.18 PEFT wrote no version and doubled the last term."""
    if module.naming != "PEFT":
        raise NotBuiltYet(
            f"{module.file} holds OneTrainer's OFT: its versions turn by different formulas and write "
            "the same file, so what it was trained for cannot be told",
            remedy="train it as LoRA, or with LyCORIS' Diag-OFT",
        )
    if config is None or config.kind != "OFT":
        raise _missing(module, "how its OFT blocks turn")
    settings = {"cayley_terms": 0.0}
    if config.fields.get("use_cayley_neumann", False):
        settings["cayley_terms"] = config.number("num_cayley_neumann_terms", 5, least=1, most=MAX_TERMS)
        if _version(config) < FIRST_WITH_VERSION:
            settings["last_term_doubled"] = 1.0
    if config.fields.get("coft"):
        settings["coft_eps"] = config.number("eps", 6e-5, least=0)
    return settings


def _version(config: PeftConfig) -> tuple[int, ...]:
    numbers = str(config.fields.get("peft_version") or "0").partition("@")[0].split(".")[:2]
    return tuple(int(number) if re.fullmatch("[0-9]{1,6}", number) else 0 for number in numbers)


def _ia3(module: Subject, config: PeftConfig | None) -> Settings:
    shape, size = module.shapes["ia3_l"], prod(module.shapes["ia3_l"])
    if config is not None and config.kind == "IA3":
        on_input = config.feedforward(module.name)
    elif len(shape) == 2:
        on_input = shape[0] == 1 and shape[1] == module.weight[1]
    elif module.weight[0] == module.weight[1]:
        raise _missing(module, f"whether (IA)^3 scales inputs or outputs of {module.name}")
    else:
        on_input = size == module.weight[1]
    if size != module.weight[1 if on_input else 0]:
        raise AdapterInvalid(f"{module.file}: the (IA)^3 vector of {module.name} does not fit its own axis")
    scales_bias = not on_input and module.has_bias
    return {"on_input": float(on_input)} | ({"scales_bias": 1.0} if scales_bias else {})
