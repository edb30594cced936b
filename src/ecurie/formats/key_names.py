"""The names of an adapter's tensors: a prefix for the part, the module, and at the end the tensor's role."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ecurie.formats.inventory import Part

SHOWN_KEYS = 3
SHOWN_CHARACTERS = 120
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
    "oft_R.weight": "oft_R",
    "a1.weight": "a1",
    "a2.weight": "a2",
    "b1.weight": "b1",
    "b2.weight": "b2",
    "bm.weight": "bm",
    **{name: name for name in ("alpha", "dora_scale", "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")},
    **{name: name for name in ("hada_t1", "hada_t2", "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2")},
    **{name: name for name in ("lokr_w2_a", "lokr_w2_b", "lokr_t2", "oft_blocks", "rescale", "on_input")},
    **{name: name for name in ("diff", "diff_b", "w_norm", "b_norm", "weight", "ia3_l")},
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


def is_kohya(key: str) -> bool:
    return key.startswith(("lora_unet", "lora_te", "lycoris_"))


def shown(keys: Iterable[str]) -> str:
    """The first keys for a message; a hostile file may have keys of megabytes."""
    first = [key for key, _ in zip(keys, range(SHOWN_KEYS), strict=False)]
    return ", ".join(key if len(key) <= SHOWN_CHARACTERS else f"{key[:SHOWN_CHARACTERS]}…" for key in first)
