"""The embeddings that there are, for people."""

from __future__ import annotations

from dataclasses import dataclass

from ecurie.catalog.catalog import Catalog
from ecurie.errors import RequestError
from ecurie.formats.embedding_file import read_embedding
from ecurie.formats.hashes import auto_v3_of, sha256_of


@dataclass(frozen=True, slots=True)
class ListedEmbedding:
    """`unavailable` is None, or why the default model cannot use it and what to do."""

    name: str
    file: str
    vectors: int | None = None
    sha256: str | None = None
    auto_v3: str | None = None
    unavailable: str | None = None


def list_embeddings(catalog: Catalog) -> list[ListedEmbedding]:
    """Checked against the default model."""
    listed = []
    for name, file in sorted(catalog.embedding_files().items()):
        try:
            model = catalog.find(catalog.default_model)
            entry = read_embedding(file, model.checkpoint.inventory)
        except RequestError as error:
            listed.append(ListedEmbedding(name, file.name, unavailable=error.whole))
        else:
            listed.append(ListedEmbedding(name, file.name, entry.vectors, sha256_of(file), auto_v3_of(file)))
    return listed
