"""SDXL's configurations and CLIP's vocabulary, which single files lack: shipped, so that no network is
asked."""

from __future__ import annotations

import json
from pathlib import Path

from ecurie.formats.parts import COMPONENTS, Parts

PACKAGE = Path(__file__).parents[1]
CONFIGS = PACKAGE / "sdxl"
# The demo model's text encoders have CLIP's own vocabulary, so it is shipped once.
TOKENIZERS = PACKAGE / "demo_models" / "sdxl-base"


def sdxl_without_weights() -> Parts:
    """What the published SDXL base 1.0 says of itself."""
    return Parts(
        tensors={},
        configs={name: json.loads((CONFIGS / name / "config.json").read_text()) for name in COMPONENTS},
        tokenizers=(TOKENIZERS / "tokenizer", TOKENIZERS / "tokenizer_2"),
        scheduler_config=json.loads((CONFIGS / "scheduler" / "scheduler_config.json").read_text()),
        zero_empty_negative=True,
    )
