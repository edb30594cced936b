"""What a request's prompts become, without drawing them: final text, tokens, weights, chunks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ecurie.domain import GenerationRequest, Syntax
from ecurie.formats.adapter_file import read_adapter
from ecurie.formats.checkpoint import Checkpoint, files_of, read_checkpoint
from ecurie.formats.clip_tokens import ClipTokenizer, Token, clip_tokenizer
from ecurie.formats.embedding_names import NameMarks, names_in
from ecurie.formats.prompt_parts import Sections
from ecurie.formats.prompt_syntax import parse_prompt

PARTS = ("text_encoder", "text_encoder_2")


@dataclass(frozen=True, slots=True)
class Trigger:
    """A phrase that is added to the prompt, for which adapter, and who named it."""

    text: str
    adapter: str
    source: str


@dataclass(frozen=True, slots=True)
class NamedEmbedding:
    """An embedding that a prompt names; `adapter` brought it along, or its own file has the hashes."""

    name: str
    vectors: int
    adapter: str | None = None
    sha256: str | None = None
    auto_v3: str | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """77 tokens as a text encoder gets them, without start, end and padding. Sections are encoded apart;
    `share` is that of the text in compel's `.blend()`."""

    section: int
    share: float | None
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Encoded:
    tokens: int
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class PromptPreview:
    """`template` is what was typed where wildcards were drawn. An empty negative prompt is `zeros` where the
    model was trained so."""

    text: str
    template: str | None
    syntax: Syntax
    zeros: bool
    text_encoders: dict[str, Encoded]


@dataclass(frozen=True, slots=True)
class Preview:
    model: str
    seed: int
    clip_skip: int
    prompt: PromptPreview
    negative_prompt: PromptPreview
    triggers: tuple[Trigger, ...]
    embeddings: tuple[NamedEmbedding, ...]


def preview_of(request: GenerationRequest) -> Preview:
    """Raises WeightsInvalid for a model whose tokenizers cannot be used."""
    checkpoint = read_checkpoint(files_of(request))
    texts = request.final_prompt, request.negative_prompt
    embeddings = tuple(_embeddings(request, checkpoint, texts))
    reader = _Reader(checkpoint, embeddings, texts)
    return Preview(
        request.model,
        request.seed,
        request.clip_skip,
        reader.read(texts[0], request.prompt_template, request.prompt_syntax, "prompt"),
        reader.read(texts[1], request.negative_template, request.negative_syntax, "negative_prompt"),
        tuple(
            Trigger(phrase, use.name, use.triggers_from)
            for use in request.adapters
            for phrase in use.triggers
        ),
        embeddings,
    )


def _embeddings(
    request: GenerationRequest, checkpoint: Checkpoint, texts: tuple[str, str]
) -> Iterator[NamedEmbedding]:
    for use in request.adapters:
        if use.active and names_in(use.embeddings, texts):
            described = read_adapter(Path(use.file), checkpoint.inventory, strict=use.strict)
            for entry in described.embeddings:
                if names_in([entry.name], texts):
                    yield NamedEmbedding(entry.name, entry.vectors, adapter=use.name)
    for own in request.embeddings:
        yield NamedEmbedding(own.name, own.vectors, sha256=own.sha256, auto_v3=own.auto_v3)


class _Reader:
    def __init__(
        self, checkpoint: Checkpoint, embeddings: tuple[NamedEmbedding, ...], texts: tuple[str, str]
    ):
        self._tokenizers = dict(zip(PARTS, map(clip_tokenizer, checkpoint.parts.tokenizers), strict=True))
        self._zeros = checkpoint.parts.zero_empty_negative
        by_name = {one.name: one.vectors for one in embeddings}
        self._marks = NameMarks(by_name, texts)
        self._embedded = {mark: (name, by_name[name]) for mark, name in self._marks.name_of.items()}

    def read(self, text: str, template: str, syntax: Syntax, field: str) -> PromptPreview:
        sections = parse_prompt(self._marks.mark(text), syntax, field)
        encoded = {part: self._encoded(tokenizer, sections) for part, tokenizer in self._tokenizers.items()}
        zeros = field == "negative_prompt" and not text and self._zeros
        return PromptPreview(text, template or None, syntax, zeros, encoded)

    def _encoded(self, tokenizer: ClipTokenizer, sections: Sections) -> Encoded:
        chunks = []
        for number, section in enumerate(sections):
            shares = section.shares or (None,)
            for fragments, share in zip(section.texts, shares, strict=True):
                found = tokenizer.chunks(fragments, self._embedded.get)
                chunks += [Chunk(number, share, tuple(tokens)) for tokens in found]
        return Encoded(sum(len(chunk.tokens) for chunk in chunks), tuple(chunks))
