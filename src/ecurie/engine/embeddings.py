"""Textual-inversion embeddings in prompts: an embedding's vectors take the place of its name.

Which words are names, `formats/embedding_names.py` says; a private character stands for each, which compel
reads. The tokenizer turns the character into token ids beyond the vocabulary, one for each vector, and the
text encoder gets the vectors for them while it runs. Nothing is added to the model, so nothing can stick. The
end-of-text token stays the pooled one, as in kohya's trainer and A1111; diffusers pools the embedding itself
on models whose configuration has the `eos_token_id` 2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from ecurie.adapters.embeddings import Embedding
from ecurie.formats.embedding_names import NameMarks
from ecurie.formats.inventory import Part


class PromptEmbeddings:
    """The embeddings that some prompts name. Falsy when they name none.

    Of two of one name, the first counts.
    """

    def __init__(self, embeddings: Iterable[Embedding], prompts: Sequence[str]):
        by_name: dict[str, Embedding] = {}
        for one in embeddings:
            by_name.setdefault(one.name.casefold(), one)
        marks = NameMarks((one.name for one in by_name.values()), prompts)
        self.mark = marks.mark
        self._by_mark = {mark: by_name[name.casefold()] for mark, name in marks.name_of.items()}

    def __bool__(self) -> bool:
        return bool(self._by_mark)

    @property
    def fingerprint(self) -> tuple[tuple[str, str], ...]:
        """The names, and hashes of their vectors."""
        return tuple((one.name.casefold(), _hash(one)) for one in self._by_mark.values())

    def wrap(self, tokenizer: Any, text_encoder: Any, part: Part) -> tuple[Any, Any]:
        """Both as compel uses them, knowing the marks."""
        if not self:
            return tokenizer, text_encoder
        first = max(len(tokenizer), text_encoder.get_input_embeddings().num_embeddings)
        ids: dict[str, list[int]] = {}
        for mark, embedding in self._by_mark.items():
            start = first + sum(map(len, ids.values()))
            ids[mark] = list(range(start, start + len(embedding.vectors[part])))
        vectors = torch.cat([embedding.vectors[part] for embedding in self._by_mark.values()])
        return _Tokenizer(tokenizer, ids), _TextEncoder(text_encoder, vectors, first)


def _hash(embedding: Embedding) -> str:
    digest = hashlib.sha256()
    for part, vectors in sorted(embedding.vectors.items()):
        digest.update(f"{part}{tuple(vectors.shape)}".encode())
        digest.update(vectors.contiguous().numpy().tobytes())
    return digest.hexdigest()


class _Tokenizer:
    """A tokenizer for which a mark is a run of tokens of its own."""

    def __init__(self, tokenizer: Any, ids: dict[str, list[int]]):
        self._tokenizer, self._ids = tokenizer, ids
        self._splitter = re.compile(f"([{''.join(ids)}])")
        self._last = {run[-1] for run in ids.values()}
        self._all = {token for run in ids.values() for token in run}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, texts: list[str], *, truncation: bool, **_options: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [self._tokenize(text, truncation) for text in texts]}

    def _tokenize(self, text: str, truncation: bool) -> list[int]:
        body: list[int] = []
        for piece in filter(None, self._splitter.split(text)):
            body += self._ids.get(piece) or self._tokenizer(piece, add_special_tokens=False)["input_ids"]
        room = self._tokenizer.model_max_length - 2 if truncation else len(body)
        return [self._tokenizer.bos_token_id, *body[:room], self._tokenizer.eos_token_id]

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        """Compel splits long prompts after tokens that end in `</w>`: never inside an embedding."""
        return [
            ("</w>" if token in self._last else "") if token in self._all else self._ordinary(token)
            for token in ids
        ]

    def _ordinary(self, token: int) -> str:
        text: str = self._tokenizer.convert_ids_to_tokens(token)
        return text


class _TextEncoder:
    """A text encoder that takes `vectors` n×width for the token ids from `first` on."""

    def __init__(self, text_encoder: Any, vectors: Tensor, first: int):
        self._text_encoder, self._vectors, self._first = text_encoder, vectors, first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._text_encoder, name)

    def __call__(self, token_ids: Tensor, *arguments: Any, **options: Any) -> Any:
        ours = token_ids >= self._first
        wanted = token_ids[ours].cpu() - self._first

        def put(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
            return output.clone().masked_scatter(ours.unsqueeze(-1), self._vectors[wanted].to(output))

        handle = self._text_encoder.get_input_embeddings().register_forward_hook(put)
        try:
            return self._text_encoder(token_ids.masked_fill(ours, 0), *arguments, **options)
        finally:
            handle.remove()
