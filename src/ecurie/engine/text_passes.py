"""A text encoder that is run once for each text, however often it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Output:
    """What compel reads of a text encoder's output: one hidden layer, and the pooled token projected (None
    for the first text encoder of SDXL)."""

    hidden_states: dict[int, Tensor]
    text_embeds: Tensor | None


class Passes:
    """Stands for `text_encoder` while some prompts are encoded; keeps the outputs of `layer`."""

    def __init__(self, text_encoder: Any, layer: int):
        self._text_encoder, self._layer = text_encoder, layer
        self._outputs: dict[tuple[bytes, bytes], Output] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._text_encoder, name)

    def __call__(self, token_ids: Tensor, attention_mask: Tensor | None = None, **_options: Any) -> Output:
        """`token_ids` and `attention_mask` are 1×77; a mask that hides nothing is the same as none."""
        token_ids = token_ids.long()
        if attention_mask is not None and bool(attention_mask.all()):
            attention_mask = None
        key = _bytes(token_ids), b"" if attention_mask is None else _bytes(attention_mask)
        if key not in self._outputs:
            found = self._text_encoder(token_ids, attention_mask, output_hidden_states=True, return_dict=True)
            hidden = {self._layer: found.hidden_states[self._layer]}
            self._outputs[key] = Output(hidden, getattr(found, "text_embeds", None))
        return self._outputs[key]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.to("cpu", torch.long).contiguous().numpy().tobytes()
