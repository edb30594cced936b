"""A prompt as it is encoded, whichever syntax it was written in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fragment:
    """Words of one weight; never blank."""

    text: str
    weight: float = 1.0


Fragments = tuple[Fragment, ...]
"""One text for the text encoder; none: the empty text."""


@dataclass(frozen=True, slots=True)
class Section:
    """What is encoded apart from its neighbours, in chunks of its own.

    `shares` mixes the encodings of several texts, divided by their sum where `normalize`; None: there is one
    text. `weight` moves the encoding away from the empty text's.
    """

    texts: tuple[Fragments, ...]
    shares: tuple[float, ...] | None = None
    normalize: bool = True
    weight: float = 1.0


Sections = tuple[Section, ...]
EMPTY: Sections = (Section(((),)),)
