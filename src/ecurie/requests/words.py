"""The words of a request: what its prompt says without tags, with the model's prefix and the triggers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from ecurie.adapter_stack import FindAdapter, inject_triggers, resolve_stack, without_triggers
from ecurie.catalog.catalog import FoundModel
from ecurie.catalog.triggers import FROM_CATALOGUE
from ecurie.domain import AdapterUse, EmbeddingUse, Syntax
from ecurie.errors import InvalidRequest, RequestError
from ecurie.formats.embedding_names import NameMarks
from ecurie.formats.prompt_syntax import parse_prompt, settle_syntax
from ecurie.formats.prompt_tags import OPENING, Tag, take_tags
from ecurie.requests.body import GenerateBody
from ecurie.requests.named_embeddings import use_embeddings, without_prefixes

SQUARE = re.compile(r"(?<!\\)([\[\]])")


@dataclass(frozen=True, slots=True)
class Words:
    """Both prompts as the text encoders get them, the first also with its adapter tags; their syntaxes; and
    the stack and the embeddings that they name."""

    final: str
    tagged: str
    negative: str
    syntaxes: tuple[Syntax, Syntax]
    uses: tuple[AdapterUse, ...]
    embeddings: tuple[EmbeddingUse, ...]


def settle_words(
    body: GenerateBody, find_adapter: FindAdapter, model: FoundModel, embedding_files: Mapping[str, Path]
) -> Words:
    """Raises RequestError for a prompt that cannot be read, or names what is not there."""
    text, tags = tags_of(body)
    uses = resolve_stack(body.loras, tags, find_adapter, model)
    brought = list(chain.from_iterable(use.embeddings for use in uses if use.active))
    known = [*embedding_files, *brought]
    text = without_prefixes(text, known, "prompt")
    negative = without_prefixes(negative_of(body, model), known, "negative_prompt")
    before = [model.entry.prompt_prefix] if body.prompt_prefix and model.entry.prompt_prefix else []
    start = ", ".join([*before, text])
    marks = NameMarks(known, (start, negative))
    syntaxes = settle_syntax(body.prompt_syntax, marks.mark(start), marks.mark(negative))
    uses = inject_triggers(start, uses)[1] if body.inject_triggers else without_triggers(uses)
    after = [_as_words(phrase, use, syntaxes[0]) for use in uses for phrase in use.triggers]
    final = ", ".join([start, *after])
    texts = {"prompt": final, "negative_prompt": negative}
    embeddings = use_embeddings(texts, embedding_files, brought, model.checkpoint.inventory)
    refuse_unreadable(texts, syntaxes, NameMarks(known, (final, negative)))
    typed = without_prefixes(body.prompt, known, "prompt")
    tagged = ", ".join([*before, typed, *after]) if tags else final
    return Words(final, tagged, negative, syntaxes, uses, embeddings)


def settle_unresolved(body: GenerateBody, negative: str) -> tuple[Syntax, Syntax]:
    """The syntaxes of a request whose model or adapters are not here yet, its own words checked."""
    texts = {"prompt": tags_of(body)[0], "negative_prompt": negative}
    syntaxes = settle_syntax(body.prompt_syntax, *texts.values())
    refuse_unreadable(texts, syntaxes, NameMarks((), list(texts.values())))
    return syntaxes


def negative_of(body: GenerateBody, model: FoundModel) -> str:
    return (model.entry.default_negative if body.negative_prompt is None else body.negative_prompt).strip()


def _as_words(phrase: str, use: AdapterUse, syntax: Syntax) -> str:
    """A phrase of a file's metadata is words; its round brackets are escaped already."""
    if use.triggers_from == FROM_CATALOGUE or syntax == "compel":
        return phrase
    return SQUARE.sub(r"\\\1", phrase)


def refuse_unreadable(texts: Mapping[str, str], syntaxes: tuple[Syntax, Syntax], marks: NameMarks) -> None:
    """So that a prompt is refused when it is sent, not when it is drawn."""
    for (field, text), syntax in zip(texts.items(), syntaxes, strict=True):
        parse_prompt(marks.mark(text), syntax, field)


def tags_of(body: GenerateBody) -> tuple[str, list[Tag]]:
    """The prompt without its tags, and the tags. A1111 takes one in the negative prompt for words."""
    if body.negative_prompt and OPENING.search(body.negative_prompt):
        raise InvalidRequest(
            "an adapter tag in the negative prompt: an adapter acts on the whole picture",
            field="negative_prompt",
            remedy="put it into the prompt, if need be with a negative weight",
        )
    try:
        text, tags = take_tags(body.prompt)
    except RequestError as error:
        error.field = "prompt"
        raise
    if not text.strip():
        raise InvalidRequest("prompt: holds nothing but adapter tags", field="prompt")
    return text, tags
