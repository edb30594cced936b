"""What a file's metadata says of itself. Anyone may have written it: nothing in it is believed, none raises.

Fields: kohya's trainer writes `ss_…` (github.com/kohya-ss/sd-scripts, `library/train_util.py`), others
`modelspec.…` (github.com/Stability-AI/ModelSpec). Every value is text; some hold JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

# A real `ss_tag_frequency` of a large data set has a few megabytes.
MAX_JSON_CHARACTERS = 10_000_000
MAX_FLOAT32 = 3.4028234e38
MAX_TEXT = 300
MAX_PHRASES = 20
MAX_CANDIDATES = 10
OUTPUT_NAME = "ss_output_name"
TRIGGER_FIELD, TAGS_FIELD = "modelspec.trigger_phrase", "ss_tag_frequency"
TITLE_FIELDS = ("modelspec.title", OUTPUT_NAME)
BASE_FIELDS = ("ss_sd_model_name", "ss_base_model_version", "modelspec.architecture")
# Where the base's name may stand, the surest first.
LINEAGE_FIELDS = ("ss_sd_model_name", "modelspec.merged_from", "modelspec.tags", "modelspec.title")
# Plain SDXL last: the names of its descendants often hold it too.
LINEAGES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Pony", re.compile(r"pony|autismmix")),
    ("NoobAI", re.compile(r"noob")),
    ("Illustrious", re.compile(r"illustrious|ilxl")),
    ("Animagine", re.compile(r"animagine")),
    ("SDXL", re.compile(r"sd_?xl[ _.-]*(?:v?1\.?0[ _.-]*)?base|xl[ _-]base|^sd_?xl(?:[ _-]?v?1\.0)?$")),
)
# Captions of anime pictures: so common that they tell nothing of an adapter.
COMMON_TAGS = frozenset(
    "1girl|1boy|2girls|solo|highres|absurdres|simple background|white background|looking at viewer|smile"
    "|blush|long hair|short hair|open mouth|breasts|bangs|upper body|full body|standing|shirt".split("|")
)
COMMON_FACTOR = 0.2


@dataclass(frozen=True, slots=True)
class Sourced:
    """A text and the metadata field that it stands in."""

    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A tag that may be a trigger word; `score` from 0 to 1 is its share of the most frequent tag, a fifth of
    that for tags that say nothing. Shown to people, never put into a prompt."""

    text: str
    score: float
    source: str


@dataclass(frozen=True, slots=True)
class About:
    """`bases` is what the file was trained for or on, by every field that says so; `lineage` is the family
    within SDXL (Pony, Illustrious, …) as far as the metadata names it."""

    title: Sourced | None
    bases: tuple[Sourced, ...]
    lineage: Sourced | None
    trigger_phrases: tuple[str, ...]
    candidates: tuple[Candidate, ...]


def read_about(metadata: Mapping[str, str]) -> About:
    return About(
        title=next(iter(_fields(metadata, TITLE_FIELDS)), None),
        bases=_fields(metadata, BASE_FIELDS),
        lineage=lineage_of_metadata(metadata),
        trigger_phrases=trigger_phrases(metadata),
        candidates=_candidates(_tag_counts(metadata)),
    )


def parse_json(text: str) -> object:
    """None for what is no JSON, is too long, or nests too deeply."""
    try:
        return json.loads(text) if len(text) <= MAX_JSON_CHARACTERS else None
    except (ValueError, RecursionError):
        return None


def lineage_of_name(text: str) -> str | None:
    """`Pony` for "ponyDiffusionV6XL"; None when the name tells nothing."""
    plain = text.casefold()
    return next((lineage for lineage, pattern in LINEAGES if pattern.search(plain)), None)


def lineage_of_metadata(metadata: Mapping[str, str]) -> Sourced | None:
    """The base's lineage with the field that tells it. Cheap: it is asked at every request."""
    for field in _fields(metadata, LINEAGE_FIELDS):
        if lineage := lineage_of_name(field.text):
            return Sourced(lineage, field.source)
    # Nobody but Pony captions with scores.
    return Sourced("Pony", TAGS_FIELD) if '"score_9"' in metadata.get(TAGS_FIELD, "") else None


def trigger_phrases(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The phrases between commas, each once. Text too long for a prompt is no trigger phrase: none."""
    text = metadata.get(TRIGGER_FIELD, "")
    if len(text) > MAX_TEXT:
        return ()
    phrases = (" ".join(phrase.split()) for phrase in _readable(text).split(","))
    return tuple(dict.fromkeys(phrase for phrase in phrases if phrase))[:MAX_PHRASES]


def _readable(text: str) -> str:
    """Without control characters and halves of surrogate pairs, which no prompt may hold."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _fields(metadata: Mapping[str, str], names: tuple[str, ...]) -> tuple[Sourced, ...]:
    texts = ((name, " ".join(_readable(metadata.get(name, "")[:MAX_TEXT]).split())) for name in names)
    return tuple(Sourced(text, name) for name, text in texts if text and text != "None")


def _tag_counts(metadata: Mapping[str, str]) -> dict[str, float]:
    """Tag to its count, over all data sets: the field is `{data set: {tag: count}}`."""
    content = parse_json(metadata.get(TAGS_FIELD, ""))
    counts: dict[str, float] = {}
    for tags in content.values() if isinstance(content, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            name = " ".join(_readable(tag[:MAX_TEXT]).split())
            if name and type(count) in (int, float) and 0 < count < math.inf:
                counts[name] = counts.get(name, 0.0) + min(count, 1e9)
    return counts


def _candidates(counts: Mapping[str, float]) -> tuple[Candidate, ...]:
    most = max(counts.values(), default=1.0)
    scores = {
        tag: count / most * (COMMON_FACTOR if tag.casefold() in COMMON_TAGS else 1.0)
        for tag, count in counts.items()
    }
    ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:MAX_CANDIDATES]
    return tuple(Candidate(tag, round(score, 3), TAGS_FIELD) for tag, score in ranked)
