"""A1111's prompt syntax: `(word)`, `(word:1.3)`, `[word]`, `\\(`, `BREAK`.

The grammar is that of A1111's `prompt_parser.py` and its wiki (features: attention, break): `(` multiplies by
1.1, `[` divides by it, a bracket that is never closed reaches to the end, and one that was never opened is a
letter. What A1111 does over the steps of a picture (`[from:to:when]`, `[a|b]`, `AND`) is refused. One pass
over the text, and one over the pieces.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from ecurie.errors import InvalidRequest
from ecurie.formats.prompt_parts import EMPTY, Fragment, Section, Sections

STEP = 1.1
LARGEST_WEIGHT = 100.0
MOST_SECTIONS = 32
TOKEN = re.compile(r"\\[()\[\]\\]|\\|\(|\[|:\s*([+-]?[.\d]+)\s*\)|\)|\]|[^\\()\[\]:]+|:")
# From the beginning of a run of spaces alone: from each of them would take the square of its length.
BREAK = re.compile(r"(?:(?<!\s)\s+)?\bBREAK\b\s*")
AND = re.compile(r"\bAND\b")
WHEN = re.compile(r":\s*[+-]?[.\d]+\s*\Z")


@dataclass(slots=True)
class _Bracket:
    """`factor` is known when it is closed; `texts` stand in it directly."""

    mark: str
    at: int
    factor: float
    texts: list[str] = field(default_factory=list)


class _Break:
    """The end of a section."""


def parse_a1111(prompt: str) -> Sections:
    """Sections of weighted fragments. Raises InvalidRequest, saying what and where."""
    sections: list[Section] = []
    for pieces in _sections(_Reader().read(prompt)):
        fragments = _fragments(pieces)
        if fragments:
            sections.append(Section((fragments,)))
    if len(sections) > MOST_SECTIONS:
        raise InvalidRequest(
            f"it has {len(sections)} stretches between BREAKs; at most {MOST_SECTIONS} can be used"
        )
    return tuple(sections) or EMPTY


Piece = tuple[str, float]


class _Reader:
    """From text to pieces with the product of their brackets' factors."""

    def __init__(self) -> None:
        self._open: list[_Bracket] = []
        self._open_marks = {"(": 0, "[": 0}
        # A bracket stands where it opens and where it closes.
        self._found: list[str | _Bracket | _Break] = []

    def read(self, prompt: str) -> list[Piece | _Break]:
        for token in TOKEN.finditer(prompt):
            self._take(token)
        return self._weighed()

    def _take(self, token: re.Match[str]) -> None:
        text, weight = token[0], token[1]
        if text in ("(", "["):
            bracket = _Bracket(text, token.start(), STEP if text == "(" else 1 / STEP)
            self._open.append(bracket)
            self._open_marks[text] += 1
            self._found.append(bracket)
        elif weight is not None and self._open_marks["("]:
            self._close("(", token).factor = _number(weight, token)
        elif text == ")" and self._open_marks["("]:
            self._close("(", token)
        elif text == "]" and self._open_marks["["]:
            _refuse_steps(self._close("[", token), token)
        elif text.startswith("\\"):
            # A backslash before anything else is dropped, as A1111 does.
            self._found.append(text[1:])
        else:
            self._add_words(text, token.start())

    def _close(self, mark: str, token: re.Match[str]) -> _Bracket:
        bracket = self._open.pop()
        if bracket.mark != mark:
            raise InvalidRequest(
                f"'{token[0]}' at character {token.start() + 1} closes a bracket across the "
                f"'{bracket.mark}' that character {bracket.at + 1} opens",
                remedy="close the inner bracket first; \\( and \\[ are plain brackets",
            )
        self._open_marks[mark] -= 1
        self._found.append(bracket)
        return bracket

    def _add_words(self, text: str, at: int) -> None:
        if AND.search(text):
            raise InvalidRequest(
                f"AND near character {at + 1} would draw several prompts at once, which cannot be applied",
                remedy="write it in small letters, or part the prompt by BREAK",
            )
        if self._open:
            self._open[-1].texts.append(text)
        first, *more = BREAK.split(text)
        if more and self._open:
            raise InvalidRequest(
                f"BREAK near character {at + 1} stands in brackets",
                remedy="close the bracket before it and open it again after it",
            )
        self._found.append(first)
        for words in more:
            self._found += [_Break(), words]

    def _weighed(self) -> list[Piece | _Break]:
        pieces: list[Piece | _Break] = []
        inside: set[int] = set()
        products = [1.0]
        for piece in self._found:
            if isinstance(piece, str):
                pieces.append((piece, products[-1]))
            elif isinstance(piece, _Break):
                pieces.append(piece)
            elif id(piece) in inside:
                products.pop()
            else:
                inside.add(id(piece))
                products.append(_sane(products[-1] * piece.factor, piece))
        return pieces


def _number(text: str, token: re.Match[str]) -> float:
    where = f"'{token[0]}' at character {token.start() + 1}"
    try:
        weight = float(text)
    except ValueError:
        raise InvalidRequest(f"{where}: '{text}' is no number") from None
    if weight < 0:
        raise InvalidRequest(
            f"{where}: a weight below 0 cannot be applied", remedy="put the words into the negative prompt"
        )
    return weight


def _sane(product: float, bracket: _Bracket) -> float:
    if not math.isfinite(product) or product > LARGEST_WEIGHT:
        raise InvalidRequest(
            f"the brackets from character {bracket.at + 1} on multiply to a weight of {product:.4g}; at most "
            f"{LARGEST_WEIGHT:g} can be used",
            remedy="weights above 2 seldom help; \\( is a plain bracket",
        )
    return product


def _refuse_steps(bracket: _Bracket, closing: re.Match[str]) -> None:
    """`[a|b]` and `[from:to:when]` change the prompt while the picture is made."""
    text, where = "".join(bracket.texts), f"the '[' at character {bracket.at + 1}"
    if "|" in text:
        raise InvalidRequest(
            f"{where} begins an alternation ([a|b]), which would change the prompt at every step",
            remedy="for one of several words write {a|b}; \\[ is a plain bracket",
        )
    if WHEN.search(text):
        raise InvalidRequest(
            f"{where} begins prompt editing ([from:to:when]), which would change the prompt at some step",
            remedy="for a weight write (word:0.9); \\[ is a plain bracket",
        )


def _sections(pieces: list[Piece | _Break]) -> list[list[Piece]]:
    sections: list[list[Piece]] = [[]]
    for piece in pieces:
        if isinstance(piece, _Break):
            sections.append([])
        else:
            sections[-1].append(piece)
    return sections


def _fragments(pieces: list[Piece]) -> tuple[Fragment, ...]:
    """Neighbours of one weight as one text: words that an escape has cut stay whole."""
    runs: list[tuple[list[str], float]] = []
    for text, weight in pieces:
        if runs and runs[-1][1] == weight:
            runs[-1][0].append(text)
        elif text:
            runs.append(([text], weight))
    joined = (("".join(texts), weight) for texts, weight in runs)
    return tuple(Fragment(text, weight) for text, weight in joined if text.strip())
