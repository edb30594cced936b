"""OpenCLIP's text tower, SDXL's second encoder in single files, by the names of transformers' CLIP.

OpenCLIP keeps query, key and value in one tensor, and its projection as inputs×outputs
(https://github.com/mlfoundations/open_clip, `src/open_clip/transformer.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ecurie.formats.parts import Source

LAYER = re.compile(r"transformer\.resblocks\.(\d+)\.(.+)")
INNER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
OUTSIDE = {
    "positional_embedding": "embeddings.position_embedding.weight",
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
}


def transformers_clip(tensors: Mapping[str, Source]) -> dict[str, Source]:
    return {name: found for key, source in tensors.items() for name, found in _renamed(key, source)}


def _renamed(key: str, source: Source) -> Iterator[tuple[str, Source]]:
    match = LAYER.fullmatch(key)
    if match is None:
        if key == "text_projection":
            yield "text_projection.weight", source.turned()
        else:
            yield OUTSIDE.get(key, key), source
        return
    layer, rest = f"encoder.layers.{match[1]}", match[2]
    if rest.startswith("attn.in_proj_"):
        kind, width = rest.rpartition("_")[2], source.shape[0] // 3
        for index, name in enumerate(("q_proj", "k_proj", "v_proj")):
            yield f"{layer}.self_attn.{name}.{kind}", source.cut(index * width, (index + 1) * width)
        return
    module, _, kind = rest.rpartition(".")
    yield f"{layer}.{INNER.get(module, module)}.{kind}", source
