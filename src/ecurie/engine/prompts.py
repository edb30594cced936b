"""From prompt text to what the UNet is conditioned on, by compel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyparsing
import torch
from compel import Compel
from compel.embeddings_provider import EmbeddingsProvider, ReturnedEmbeddingsType, SplitLongTextMode
from torch import Tensor

from ecurie.engine.loader import Model
from ecurie.errors import InvalidRequest

# Without memoization compel's grammar takes five times longer for each level of brackets: 4.5 s for
# "((((((a))))))", hours for ten levels.
pyparsing.ParserElement.enable_packrat(cache_size_limit=None)


@dataclass(frozen=True, slots=True)
class Conditioning:
    """`embeds` and `negative_embeds` are 1×(77·n)×width, the pooled ones 1×width."""

    embeds: Tensor
    pooled: Tensor
    negative_embeds: Tensor
    negative_pooled: Tensor


class _LayerProvider(EmbeddingsProvider):  # type: ignore[misc]
    """Compel's provider, reading a chosen hidden layer: compel itself knows the last two only."""

    def __init__(self, layer: int, **options: Any):
        super().__init__(**options)
        self._layer = layer

    def _encode_token_ids_to_embeddings(
        self, token_ids: Tensor, attention_mask: Tensor | None = None
    ) -> Tensor:
        output = self.text_encoder(token_ids, attention_mask, output_hidden_states=True, return_dict=True)
        hidden: Tensor = output.hidden_states[self._layer]
        return hidden


def _make_encoders(model: Model, clip_skip: int) -> list[Compel]:
    """SDXL's text encoders never use the last layer, so the web UIs' clip skips 1 and 2 both mean the
    layer before it (diffusers' `clip_skip=None`)."""
    layer = -max(clip_skip, 2)
    encoders = []
    for tokenizer, text_encoder, pooled in zip(
        model.tokenizers, model.text_encoders, (False, True), strict=True
    ):
        options: dict[str, Any] = {
            "tokenizer": tokenizer,
            "text_encoder": text_encoder,
            "returned_embeddings_type": ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED,
            "split_long_text_mode": SplitLongTextMode.SENTENCES,
        }
        compel = Compel(truncate_long_prompts=False, requires_pooled=pooled, **options)
        compel.conditioning_provider = _LayerProvider(layer, truncate=False, **options)
        encoders.append(compel)
    return encoders


@torch.no_grad()
def encode(model: Model, prompt: str, negative_prompt: str, clip_skip: int) -> Conditioning:
    """Encode both prompts with compel's syntax (`word++`, `(phrase)1.2`); longer than 77 tokens is fine.

    An empty negative prompt becomes zeros where the model was trained so. Raises InvalidRequest when
    compel cannot read a prompt.
    """
    encoders = _make_encoders(model, clip_skip)
    embeds, pooled = _encode_one(encoders, prompt, "prompt")
    negative_embeds, negative_pooled = _encode_one(encoders, negative_prompt, "negative_prompt")
    embeds, negative_embeds = _same_length(encoders, embeds, negative_embeds)
    if not negative_prompt and model.zero_empty_negative:
        negative_embeds, negative_pooled = torch.zeros_like(embeds), torch.zeros_like(pooled)
    return Conditioning(embeds, pooled, negative_embeds, negative_pooled)


def _refuse_what_would_be_dropped(text: str, field: str) -> None:
    """Compel reads these two forms and then leaves them out of the embeds."""
    parsed = Compel.parse_prompt_string(text)
    swaps = any(getattr(prompt, "wants_cross_attention_control", False) for prompt in parsed.prompts)
    if parsed.lora_weights or swaps:
        form = ".swap()" if swaps else "withLora()"
        raise InvalidRequest(f"the {field} uses {form}, which cannot be applied", field=field)


def _encode_one(encoders: list[Compel], text: str, field: str) -> tuple[Tensor, Tensor]:
    try:
        _refuse_what_would_be_dropped(text, field)
        first = encoders[0](text)
        second, pooled = encoders[1](text)
    except (InvalidRequest, torch.OutOfMemoryError):
        raise
    except Exception as error:
        # Compel's parser has no error class of its own: marks it cannot read end in anything, IndexError too.
        raise InvalidRequest(
            f"the {field} cannot be read ({type(error).__name__}: {error})",
            field=field,
            remedy="check its weights and brackets; docs/api.md shows the syntax",
        ) from error
    embeds = torch.cat([first, second], dim=-1)
    if not embeds.isfinite().all():
        raise InvalidRequest(f"the weights of the {field} give no finite values", field=field)
    return embeds, pooled


def _same_length(encoders: list[Compel], one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Pad the shorter with the encoding of the empty text, 77 tokens at a time."""
    empty = torch.cat([compel.conditioning_provider.empty_z for compel in encoders], dim=-1)
    length = max(one.shape[1], other.shape[1])

    def padded(embeds: Tensor) -> Tensor:
        missing = (length - embeds.shape[1]) // empty.shape[1]
        return torch.cat([embeds, *[empty] * missing], dim=1)

    return padded(one), padded(other)
