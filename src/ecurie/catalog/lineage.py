"""Which family within SDXL a model or adapter comes from: an adapter is at its best on its own."""

from __future__ import annotations

from collections.abc import Mapping

from ecurie.catalog.entries import AdapterEntry, ModelEntry
from ecurie.formats.metadata import Sourced, lineage_of_metadata, lineage_of_name

# NoobAI was trained on from Illustrious: adapters of the one are used on the other.
KIN = {"NoobAI": "Illustrious"}


def lineage_of_model(model_id: str, entry: ModelEntry) -> str | None:
    """What the catalogue says, else what the id, name or source tell; None when they tell nothing."""
    if entry.lineage:
        return _plain(entry.lineage)
    names = (lineage_of_name(text) for text in (model_id, entry.name, entry.source))
    return next((lineage for lineage in names if lineage), None)


def lineage_of_adapter(entry: AdapterEntry, metadata: Mapping[str, str]) -> Sourced | None:
    """What the catalogue says, else the file's metadata. Never its name, which says what it draws."""
    return Sourced(_plain(entry.lineage), "catalogue") if entry.lineage else lineage_of_metadata(metadata)


def lineage_warning(model_id: str, model: str | None, adapter: Sourced | None) -> str | None:
    """For the report, when both lineages are known and differ."""
    if model is None or adapter is None:
        return None
    if KIN.get(model, model).casefold() == KIN.get(adapter.text, adapter.text).casefold():
        return None
    return (
        f"trained on {adapter.text} (says {adapter.source}); {model_id} is {model}, "
        "so its effect may be weaker or another"
    )


def _plain(lineage: str) -> str:
    return lineage_of_name(lineage) or lineage
