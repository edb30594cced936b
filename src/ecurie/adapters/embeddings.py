"""The vectors of textual-inversion embeddings, read from a file that was checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor

from ecurie.errors import AdapterInvalid
from ecurie.formats.embedding_file import EmbeddingEntry
from ecurie.formats.inventory import Part


@dataclass(frozen=True, slots=True)
class Embedding:
    """What the text encoders get for a word: n×width in float32 for each of them."""

    name: str
    vectors: Mapping[Part, Tensor]


def read_embeddings(
    file: Path, entries: Iterable[EmbeddingEntry], get: Callable[[str], Tensor]
) -> tuple[Embedding, ...]:
    """`get` gives a tensor of the file by its key. Raises AdapterInvalid for NaN or infinite values."""
    found = []
    for entry in entries:
        vectors = {part: get(key).float().reshape(entry.vectors, -1) for part, key in entry.keys.items()}
        for part, tensor in vectors.items():
            if not torch.isfinite(tensor).all():
                raise AdapterInvalid(f"{file}: {entry.keys[part]} holds NaN or infinite values")
        found.append(Embedding(entry.name, vectors))
    return tuple(found)


def load_embedding(file: Path, entry: EmbeddingEntry, sha256: str) -> Embedding:
    """Read an embedding's own file, which `read_embedding` has checked.

    Raises AdapterInvalid for NaN, infinite values, or a file that is not the one of that hash.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AdapterInvalid(f"{file} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise AdapterInvalid(f"{file} was replaced while the job waited", remedy="send it again")
    (embedding,) = read_embeddings(file, [entry], load(content).__getitem__)
    return embedding
