"""Which syntax a prompt is written in, told by its marks; and reading it.

Marks of compel: `)` or a closing quote with a number or `++` right after it, `word++`, `word--`, `.and()`,
`.blend()`. Marks of A1111: `(word:1.2)`, `[` or `]`, `BREAK`. Brackets without any other mark are A1111's
emphasis, since they mean nothing in compel's syntax; a single `+` or `-` after a word is compel's only where
nothing says otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from ecurie.domain import Syntax
from ecurie.errors import InvalidRequest
from ecurie.formats.a1111_prompt import parse_a1111
from ecurie.formats.compel_prompt import parse_compel
from ecurie.formats.prompt_parts import Fragments, Sections

Wanted = Literal["auto", "compel", "a1111"]
MOST_LOWERED = 100
SHOWN_BEFORE = 12
ENDS = r"(?=[\s,.)\"]|\Z)"
# Possessive: to give digits back would take the square of their number.
NUMBER = r"-?(?:\d*+\.\d++|\d++)"
COMPEL = re.compile(
    rf"""(?<!\\)\)(?:[+-]+(?!\w)|{NUMBER}(?![\w:]))"""
    rf"""|"(?:[+-]+|{NUMBER})(?!\w)"""
    rf"""|\w(?:\+\++|--+){ENDS}"""
    r"""|[\w)"]\.(?:and|add|blend|swap|attend)\(|\b(?:with|use)Lora\("""
)
A1111 = re.compile(r"(?<!\\)(?::\s*[+-]?[.\d]+\s*\)|[\[\]]|\bBREAK\b)")
ROUND = re.compile(r"(?<!\\)[()]")
SINGLE = re.compile(rf"\w[+-]{ENDS}")


def tell_syntax(text: str) -> Syntax | None:
    """None where the text is the same in both. Raises InvalidRequest for marks of both."""
    compel, a1111 = COMPEL.search(text), A1111.search(text)
    if compel and a1111:
        raise InvalidRequest(
            f"it has marks of two syntaxes: '{_shown(text, compel)}' is compel's, "
            f"'{_shown(text, a1111)}' A1111's",
            remedy='use one of them, or say "prompt_syntax": "compel" or "a1111"; the other\'s marks are '
            "letters then",
        )
    return "compel" if compel else "a1111" if a1111 else None


def settle_syntax(wanted: Wanted, prompt: str, negative: str) -> tuple[Syntax, Syntax]:
    """The syntax of both texts. One without marks is read as the other, brackets alone as A1111's.

    Raises InvalidRequest, naming the field.
    """
    if wanted != "auto":
        return wanted, wanted
    with in_field("prompt"):
        first = tell_syntax(prompt)
    with in_field("negative_prompt"):
        second = tell_syntax(negative)
    return first or second or _by_weak_marks(prompt), second or first or _by_weak_marks(negative)


def parse_prompt(text: str, syntax: Syntax, field: str) -> Sections:
    """Raises InvalidRequest, naming the field, for what cannot be read or would not be applied whole."""
    with in_field(field):
        sections = parse_compel(text) if syntax == "compel" else parse_a1111(text)
        lowered = sum(fragment.weight < 1 for text in texts_of(sections) for fragment in text)
        if lowered > MOST_LOWERED:
            raise InvalidRequest(
                f"it lowers the weight of {lowered} stretches; each takes a pass through the text encoders, "
                f"and at most {MOST_LOWERED} are made"
            )
        return sections


def texts_of(sections: Sections) -> Iterator[Fragments]:
    for section in sections:
        yield from section.texts


@contextmanager
def in_field(field: str) -> Iterator[None]:
    """Errors of a prompt's grammar say "it": here they get the field's name."""
    try:
        yield
    except InvalidRequest as error:
        raise InvalidRequest(f"{field}: {error}", field=field, remedy=error.remedy) from error


def _by_weak_marks(text: str) -> Syntax:
    return "a1111" if ROUND.search(text) and not SINGLE.search(text) else "compel"


def _shown(text: str, mark: re.Match[str]) -> str:
    return text[max(0, mark.start() - SHOWN_BEFORE) : mark.end()].strip()
