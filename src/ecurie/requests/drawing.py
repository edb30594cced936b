"""A body made ready: its preset's settings filled in, its wildcards drawn once from its seed."""

from __future__ import annotations

import dataclasses
import secrets
from dataclasses import dataclass

from ecurie.catalog.catalog import Catalog
from ecurie.domain import SEED_LIMIT, GenerationRequest
from ecurie.errors import InvalidRequest
from ecurie.formats.prompt_syntax import in_field
from ecurie.formats.wildcards import HAS_ANY, Wildcards
from ecurie.requests.body import GenerateBody
from ecurie.requests.presets import with_preset


@dataclass(frozen=True, slots=True)
class Drawn:
    """A body with its preset's settings, whose wildcards are words, and whose seed is settled if any were
    drawn; the templates are what was typed then, else empty."""

    body: GenerateBody
    prompt_template: str = ""
    negative_template: str = ""

    def into(self, request: GenerationRequest) -> GenerationRequest:
        """The request of the body, remembering what was typed."""
        if not self.prompt_template and not self.negative_template:
            return request
        return dataclasses.replace(
            request, prompt_template=self.prompt_template, negative_template=self.negative_template
        )


def draw(body: GenerateBody, catalog: Catalog) -> Drawn:
    """All images of a request share one draw; each field has draws of its own.

    Raises UnknownPreset, or InvalidRequest naming the field.
    """
    body = with_preset(body, catalog)
    texts = {"prompt": body.prompt, "negative_prompt": body.negative_prompt or ""}
    if not body.wildcards or not any(HAS_ANY.search(text) for text in texts.values()):
        return Drawn(body)
    seed = seed_of(body)
    drawn: dict[str, str] = {}
    for field, text in texts.items():
        with in_field(field):
            drawn[field] = Wildcards(catalog.wildcards_dir, f"{field}:{seed}").draw(text)
    if not drawn["prompt"].strip():
        raise InvalidRequest("prompt: its wildcards drew nothing", field="prompt")
    if body.negative_prompt is None:
        del drawn["negative_prompt"]
    settled = body.model_copy(update={**drawn, "seed": seed, "wildcards": False})
    return Drawn(settled, texts["prompt"], texts["negative_prompt"])


def seed_of(body: GenerateBody) -> int:
    return secrets.randbelow(SEED_LIMIT) if body.seed in (None, -1) else body.seed or 0
