"""What a prompt becomes, and the embeddings that it may name."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from ecurie.api.deps import CallerDep, ServiceDep
from ecurie.catalog.embeddings import ListedEmbedding, list_embeddings
from ecurie.requests.body import GenerateBody
from ecurie.requests.preview import Preview

router = APIRouter(tags=["prompts"])


class EmbeddingsOut(BaseModel):
    embeddings: list[ListedEmbedding]


@router.post("/prompt/preview")
def preview_prompt(body: GenerateBody, service: ServiceDep, caller: CallerDep) -> Preview:
    """The prompts of a request as the text encoders would get them; nothing is drawn or queued."""
    return service.preview(body, caller)


@router.get("/embeddings")
def get_embeddings(service: ServiceDep) -> EmbeddingsOut:
    """The textual-inversion embeddings that a prompt may name."""
    return EmbeddingsOut(embeddings=list_embeddings(service.catalog))
