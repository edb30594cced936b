"""What `GET /loras/{id}` looks like."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel

from ecurie.catalog.inspection import InspectedAdapter


class CheckOut(BaseModel):
    """`fits` is null when it could not be checked; `reason` says why not, or why it does not fit."""

    model: str
    fits: bool | None
    reason: str | None
    remedy: str | None


class SourcedOut(BaseModel):
    """A text and the field, or `catalogue`, that says so."""

    text: str
    source: str


class CandidateOut(SourcedOut):
    score: float


class LoraDetailOut(BaseModel):
    """`trigger_candidates` are frequent in the captions that it was trained on, and never added to a prompt.

    `ranks` and `alphas` map a value to the number of modules that have it, `blocks` a part and block.
    """

    id: str
    name: str
    file: str
    kind: str
    family: str | None
    family_from: str | None
    check: CheckOut
    warnings: list[str]
    default_weight: float
    trigger_words: list[str]
    triggers_from: str
    trigger_candidates: list[CandidateOut]
    lineage: SourcedOut | None
    title: SourcedOut | None
    bases: list[SourcedOut]
    naming: str | None
    modules: int
    algorithms: dict[str, int]
    ranks: dict[int, int]
    alphas: dict[str, int]
    blocks: dict[str, dict[str, int]]
    bytes: int
    sha256: str
    auto_v2: str
    auto_v3: str
    dtypes: dict[str, int]
    metadata: dict[str, str]


def lora_detail_out(found: InspectedAdapter) -> LoraDetailOut:
    content, adapter, about = found.content, found.content.adapter, found.content.about
    return LoraDetailOut(
        id=found.id,
        name=found.name,
        # Where it lies on this machine is no client's business.
        file=Path(content.file).name,
        kind=content.identity.kind.value,
        family=content.identity.family,
        family_from=content.identity.why,
        check=CheckOut(**asdict(found.check)),
        warnings=list(found.warnings),
        default_weight=found.default_weight,
        trigger_words=list(found.triggers.words),
        triggers_from=found.triggers.source,
        trigger_candidates=[CandidateOut(**asdict(candidate)) for candidate in about.candidates],
        lineage=found.lineage and SourcedOut(**asdict(found.lineage)),
        title=about.title and SourcedOut(**asdict(about.title)),
        bases=[SourcedOut(**asdict(base)) for base in about.bases],
        naming=adapter and adapter.naming,
        modules=adapter.modules if adapter else 0,
        algorithms=adapter.algorithms if adapter else {},
        ranks=adapter.ranks if adapter else {},
        alphas=adapter.alphas if adapter else {},
        blocks=adapter.blocks if adapter else {},
        bytes=content.bytes,
        sha256=content.sha256,
        auto_v2=content.auto_v2,
        auto_v3=content.auto_v3,
        dtypes=content.dtypes,
        metadata=content.metadata,
    )
