"""An adapter's trigger words, and who says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ecurie.catalog.entries import AdapterEntry
from ecurie.formats.metadata import TRIGGER_FIELD, trigger_phrases

FROM_CATALOGUE = "catalogue"
BRACKET = re.compile(r"(?<!\\)([()])")


@dataclass(frozen=True, slots=True)
class Triggers:
    """`source` is `catalogue`, `modelspec.trigger_phrase`, or empty where nothing names any."""

    words: tuple[str, ...] = ()
    source: str = ""

    @property
    def as_prompt(self) -> tuple[str, ...]:
        """In the prompt's syntax: the brackets of a phrase from a file are letters, not weights."""
        if self.source == FROM_CATALOGUE:
            return self.words
        return tuple(BRACKET.sub(r"\\\1", phrase) for phrase in self.words)


def triggers_of(entry: AdapterEntry, metadata: Mapping[str, str]) -> Triggers:
    """The catalogue's words, an empty list too; else the trigger phrase in the file's metadata."""
    if "trigger_words" in entry.model_fields_set:
        return Triggers(entry.trigger_words, FROM_CATALOGUE)
    phrases = trigger_phrases(metadata)
    return Triggers(phrases, TRIGGER_FIELD if phrases else "")
