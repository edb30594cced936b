"""Prompts that were encoded before, by the same text encoders: they need not be brought to work again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

import torch
from torch import Tensor

from ecurie.domain import GenerationRequest
from ecurie.engine import prompts
from ecurie.engine.embeddings import PromptEmbeddings
from ecurie.engine.loader import Model
from ecurie.engine.prompts import Conditioning
from ecurie.engine.stack import ReadStack

KEPT_BYTES = 1 << 26
"""About fifty pairs of prompts of 77 tokens at full SDXL in float32."""


class PromptCache:
    """Kept in the host's memory, the ones used last; what is found is bit for bit what was kept."""

    def __init__(self, kept_bytes: int = KEPT_BYTES):
        self._limit, self._bytes = kept_bytes, 0
        self._found: OrderedDict[Hashable, Conditioning] = OrderedDict()

    def find(self, key: Hashable, device: torch.device) -> Conditioning | None:
        if key not in self._found:
            return None
        self._found.move_to_end(key)
        return _at(self._found[key], device)

    def keep(self, key: Hashable, conditioning: Conditioning) -> None:
        kept = _at(conditioning, torch.device("cpu"))
        self._found[key] = kept
        self._bytes += _size(kept)
        while self._bytes > self._limit:
            self._bytes -= _size(self._found.popitem(last=False)[1])


def _tensors(conditioning: Conditioning) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return (
        *(conditioning.embeds, conditioning.pooled),
        *(conditioning.negative_embeds, conditioning.negative_pooled),
    )


def _at(conditioning: Conditioning, device: torch.device) -> Conditioning:
    return Conditioning(*(tensor.to(device) for tensor in _tensors(conditioning)))


def _size(conditioning: Conditioning) -> int:
    return sum(tensor.nbytes for tensor in _tensors(conditioning))


def prompt_key(request: GenerationRequest, model: Model, stack: ReadStack) -> Hashable:
    """Equal for requests whose prompts are encoded alike: of the stack, only what changes that counts."""
    texts = request.final_prompt, request.negative_prompt
    checkpoint = model.checkpoint
    named = PromptEmbeddings(stack.embeddings, texts).fingerprint
    return (
        (checkpoint.files, checkpoint.stamp, stack.text_signature, named),
        (*texts, request.prompt_syntax, request.negative_syntax, request.clip_skip),
    )


def encode_request(request: GenerationRequest, model: Model, stack: ReadStack) -> Conditioning:
    """Raises InvalidRequest for a prompt that cannot be read."""
    return prompts.encode(
        model,
        request.final_prompt,
        request.negative_prompt,
        request.clip_skip,
        stack.embeddings,
        (request.prompt_syntax, request.negative_syntax),
    )
