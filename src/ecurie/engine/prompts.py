"""From prompt text to what the UNet is conditioned on, by compel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from compel import Compel
from compel.embeddings_provider import EmbeddingsProvider, ReturnedEmbeddingsType, SplitLongTextMode
from compel.prompt_parser import Blend, Conjunction, FlattenedPrompt
from compel.prompt_parser import Fragment as CompelFragment
from torch import Tensor

from ecurie.adapters.embeddings import Embedding
from ecurie.domain import Syntax
from ecurie.engine.devices import is_out_of_memory
from ecurie.engine.embeddings import PromptEmbeddings
from ecurie.engine.loader import Model
from ecurie.engine.text_passes import Passes
from ecurie.errors import EcurieError, InvalidRequest
from ecurie.formats.inventory import Part
from ecurie.formats.prompt_parts import Fragments, Section, Sections
from ecurie.formats.prompt_syntax import parse_prompt

BOTH_COMPEL: tuple[Syntax, Syntax] = ("compel", "compel")


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
        hidden: Tensor = self.text_encoder(token_ids, attention_mask).hidden_states[self._layer]
        return hidden


def _make_encoders(model: Model, clip_skip: int, embeddings: PromptEmbeddings) -> list[Compel]:
    """SDXL's text encoders never use the last layer, so the web UIs' clip skips 1 and 2 both mean the
    layer before it (diffusers' `clip_skip=None`)."""
    layer = -max(clip_skip, 2)
    encoders = []
    parts: tuple[Part, ...] = ("text_encoder", "text_encoder_2")
    for plain_tokenizer, plain_encoder, part in zip(
        model.tokenizers, model.text_encoders, parts, strict=True
    ):
        tokenizer, text_encoder = embeddings.wrap(plain_tokenizer, plain_encoder, part)
        options: dict[str, Any] = {
            "tokenizer": tokenizer,
            "text_encoder": Passes(text_encoder, layer),
            "returned_embeddings_type": ReturnedEmbeddingsType.PENULTIMATE_HIDDEN_STATES_NON_NORMALIZED,
            "split_long_text_mode": SplitLongTextMode.SENTENCES,
        }
        compel = Compel(truncate_long_prompts=False, **options)
        compel.conditioning_provider = _LayerProvider(layer, truncate=False, **options)
        encoders.append(compel)
    return encoders


@torch.no_grad()
def encode(
    model: Model,
    prompt: str,
    negative_prompt: str,
    clip_skip: int,
    embeddings: Iterable[Embedding] = (),
    syntaxes: tuple[Syntax, Syntax] = BOTH_COMPEL,
) -> Conditioning:
    """Encode both prompts, each in its syntax, with compel's weights; longer than 77 tokens is fine.

    `embeddings` are drawn where a prompt says their names.

    An empty negative prompt becomes zeros where the model was trained so. Raises InvalidRequest for a prompt
    that cannot be read.
    """
    named = PromptEmbeddings(embeddings, (prompt, negative_prompt))
    encoders = _make_encoders(model, clip_skip, named)
    embeds, pooled = _encode_one(encoders, named.mark(prompt), syntaxes[0], "prompt")
    if not negative_prompt and model.checkpoint.parts.zero_empty_negative:
        return Conditioning(embeds, pooled, torch.zeros_like(embeds), torch.zeros_like(pooled))
    negative_embeds, negative_pooled = _encode_one(
        encoders, named.mark(negative_prompt), syntaxes[1], "negative_prompt"
    )
    embeds, negative_embeds = _same_length(encoders, embeds, negative_embeds)
    return Conditioning(embeds, pooled, negative_embeds, negative_pooled)


def _encode_one(encoders: list[Compel], text: str, syntax: Syntax, field: str) -> tuple[Tensor, Tensor]:
    sections = parse_prompt(text, syntax, field)
    try:
        embeds = torch.cat([_embeds(compel, sections) for compel in encoders], dim=-1)
        pooled = _pooled(encoders[1], text, sections, syntax)
    except Exception as error:
        if is_out_of_memory(error) or isinstance(error, EcurieError):
            raise
        # Compel has no error class of its own.
        raise InvalidRequest(
            f"{field}: it cannot be encoded ({type(error).__name__}: {error})",
            field=field,
            remedy="check its weights and brackets; docs/prompts.md shows the syntax",
        ) from error
    if not embeds.isfinite().all():
        raise InvalidRequest(f"the weights of the {field} give no finite values", field=field)
    return embeds, pooled


def _embeds(compel: Compel, sections: Sections) -> Tensor:
    """1×(77·n)×width of this text encoder."""
    conjunction = Conjunction(
        [_for_compel(section) for section in sections], [section.weight for section in sections]
    )
    embeds: Tensor = compel.build_conditioning_tensor_for_conjunction(conjunction)[0]
    return embeds


def _for_compel(section: Section) -> FlattenedPrompt | Blend:
    texts = [_flat(fragments) for fragments in section.texts]
    if section.shares is None:
        return texts[0]
    return Blend(texts, list(section.shares), section.normalize)


def _flat(fragments: Fragments) -> FlattenedPrompt:
    children = []
    for fragment in fragments:
        child = CompelFragment("", fragment.weight)
        # Not by the constructor, which would take escapes away once more.
        child.text = fragment.text
        children.append(child)
    return FlattenedPrompt(children or [CompelFragment("")])


def _pooled(compel: Compel, text: str, sections: Sections, syntax: Syntax) -> Tensor:
    """Compel pools the text as it was typed, marks and all; A1111 the words of its first chunk. Neither
    weighs them. 1×width."""
    provider = compel.conditioning_provider
    if syntax == "compel":
        pooled: Tensor = provider.get_pooled_embeddings([text], device=compel.device)
        return pooled
    words = [fragment.text for fragment in sections[0].texts[0]]
    ids, _, _ = provider.get_token_ids_and_expand_weights(words, [1.0] * len(words), device=compel.device)
    first: Tensor = provider.text_encoder(ids[None, : provider.max_token_count]).text_embeds
    return first


def _same_length(encoders: list[Compel], one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Pad the shorter with the encoding of the empty text, 77 tokens at a time."""
    if one.shape == other.shape:
        return one, other
    empty = torch.cat([compel.conditioning_provider.empty_z for compel in encoders], dim=-1)
    length = max(one.shape[1], other.shape[1])

    def padded(embeds: Tensor) -> Tensor:
        missing = (length - embeds.shape[1]) // empty.shape[1]
        return torch.cat([embeds, *[empty] * missing], dim=1)

    return padded(one), padded(other)
