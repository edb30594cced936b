"""The embeddings of `models/embeddings` that a request's prompts name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ecurie.domain import EmbeddingUse
from ecurie.errors import InvalidRequest, RequestError
from ecurie.formats.embedding_file import read_embedding
from ecurie.formats.embedding_names import bare_names, names_in
from ecurie.formats.hashes import auto_v3_of, sha256_of
from ecurie.formats.inventory import Inventory


def without_prefixes(text: str, known: Sequence[str], field: str) -> str:
    """`embedding:name` as the name. Raises InvalidRequest for a name that nobody has."""
    bare, unknown = bare_names(text, known)
    if unknown:
        raise InvalidRequest(
            f"{field}: there is no embedding '{unknown[0]}'",
            field=field,
            remedy=f"use one of: {', '.join(sorted(known))}"
            if known
            else "put its .safetensors file into models/embeddings in the data folder",
        )
    return bare


def use_embeddings(
    texts: Mapping[str, str], files: Mapping[str, Path], brought: Iterable[str], inventory: Inventory
) -> tuple[EmbeddingUse, ...]:
    """Those of `files`, by name, that the `texts`, by field, say; a name that an adapter has brought is its
    own.

    Raises what `read_embedding` raises, naming the field.
    """
    taken = {name.casefold() for name in brought}
    free = [name for name in files if name.casefold() not in taken]
    used = []
    for name in names_in(free, list(texts.values())):
        field = next(field for field, text in texts.items() if names_in([name], [text]))
        try:
            entry = read_embedding(files[name], inventory)
        except RequestError as error:
            error.field = field
            raise
        hashes = sha256_of(files[name]), auto_v3_of(files[name])
        used.append(EmbeddingUse(name, str(files[name]), *hashes, entry.vectors))
    return tuple(used)
