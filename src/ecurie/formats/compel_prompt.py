"""Compel's prompt syntax: `word++`, `(phrase)1.3`, `("a", "b").blend(1, 2)`, `("a", "b").and()`.

Compel's own grammar reads it. Its module is loaded by itself: the package around it imports torch, which the
API process does without.
"""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pyparsing

from ecurie.errors import InvalidRequest
from ecurie.formats.prompt_parts import EMPTY, Fragment, Fragments, Section, Sections

MOST_MARKS = 200
MOST_READ = 1_000
"""Characters for compel's grammar, which takes up to a millisecond for each."""
REMEDY = "check its weights and brackets; docs/prompts.md shows the syntax"
MARK = re.compile(r"""[()"]|[+-](?=[\s(),."+\-=]|\Z)""")
OPERATORS_AFTER_SPACE = (".attend", ".swap")
PLAIN = re.compile(r"[^(),.\"+\-=\\]+")
PLAIN_OUTSIDE = re.compile(r"(?:[^()\"+\-\\]|[+-](?![(),.\"+\-=]|\Z))+")
FIRST_STAND_IN = 0xF0000


def parse_compel(prompt: str) -> Sections:
    """Sections of weighted fragments.

    Raises InvalidRequest for what compel cannot read, or would read and leave out.
    """
    if not prompt.strip():
        return EMPTY
    if sum(1 for _ in MARK.finditer(prompt)) > MOST_MARKS:
        raise InvalidRequest(
            f"it has more than {MOST_MARKS} marks of compel's syntax (brackets, quotes, + and -), which is "
            "slow to read",
            remedy="use fewer, or A1111's syntax",
        )
    short = _Shortened(re.sub(r",(\S)", r", \1", prompt))
    if short.plain:
        return (Section(((Fragment(short.words().back(short.text), 1.0),),)),)
    if len(short.text) > MOST_READ:
        raise InvalidRequest(
            f"{len(short.text):,} of its characters stand in brackets or quotes or touch a mark, which is "
            f"slow to read in compel's syntax; at most {MOST_READ:,} may",
            remedy="use fewer, or A1111's syntax",
        )
    try:
        parsed = _parser().parse_conjunction(short.text)
    except Exception as error:
        # Its parser has no error class of its own: marks it cannot read end in anything, IndexError too.
        raise InvalidRequest(f"it cannot be read ({_told(error)})", remedy=REMEDY) from error
    _refuse_what_would_be_dropped(parsed)
    words = short.words()
    return tuple(
        _section(prompt, weight, words) for prompt, weight in zip(parsed.prompts, parsed.weights, strict=True)
    )


def _told(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "its brackets or quotes are nested too deeply"
    return f"{type(error).__name__}: {str(error)[:200]}"


@cache
def _parser() -> Any:
    """To put it together takes as long as to read a short prompt."""
    return _grammar().PromptParser()


def _grammar() -> ModuleType:
    # Without memoization the grammar takes five times longer for each level of brackets: 4.5 s for
    # "((((((a))))))", hours for ten levels.
    pyparsing.ParserElement.enable_packrat(cache_size_limit=None)
    package = importlib.util.find_spec("compel")
    assert package is not None, "compel is a dependency"
    assert package.submodule_search_locations
    file = Path(package.submodule_search_locations[0]) / "prompt_parser.py"
    spec = importlib.util.spec_from_file_location("ecurie_compel_prompt_parser", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


class _Shortened:
    """The prompt with one character in place of every run of plain words.

    Compel's grammar takes milliseconds for each word, and only joins those that have no mark.
    """

    def __init__(self, prompt: str):
        self._runs: list[str] = []
        self._stand_in = next(
            chr(code) for code in range(FIRST_STAND_IN, sys.maxunicode) if chr(code) not in prompt
        )
        # In quotes, and before operators that take the word before a space, words count one by one.
        keep = '"' in prompt or any(operator in prompt for operator in OPERATORS_AFTER_SPACE)
        self.text = prompt if keep else " ".join(self._pieces(prompt))

    def _pieces(self, prompt: str) -> Iterator[str]:
        run: list[str] = []
        depth = 0
        for piece in prompt.split():
            plain = PLAIN if depth else PLAIN_OUTSIDE
            if plain.fullmatch(piece):
                run.append(piece)
                continue
            yield from self._stand_ins(run)
            run = []
            depth = max(0, depth + _opened(piece))
            yield piece
        yield from self._stand_ins(run)

    def _stand_ins(self, run: list[str]) -> Iterator[str]:
        if run:
            self._runs.append(" ".join(run))
            yield self._stand_in

    @property
    def plain(self) -> bool:
        """Whether it has no mark at all: what the grammar makes of that is known."""
        return self.text == self._stand_in

    def words(self) -> _Words:
        return _Words(self._stand_in, self._runs)


class _Words:
    """Puts the runs back where their stand-ins are, from left to right."""

    def __init__(self, stand_in: str, runs: list[str]):
        self._stand_in, self._runs = stand_in, iter(runs)

    def back(self, text: str) -> str:
        first, *more = text.split(self._stand_in)
        return first + "".join(next(self._runs) + piece for piece in more)


def _opened(piece: str) -> int:
    bare = re.sub(r"\\[()]", "", piece)
    return bare.count("(") - bare.count(")")


def _refuse_what_would_be_dropped(parsed: Any) -> None:
    """Compel reads these two forms and then leaves them out of the embeds."""
    swaps = any(prompt.wants_cross_attention_control for prompt in parsed.prompts)
    if parsed.lora_weights or swaps:
        form = ".swap()" if swaps else "withLora()"
        raise InvalidRequest(
            f"it uses {form}, which cannot be applied", remedy="<lora:name:0.8> adds an adapter"
        )


def _section(prompt: Any, weight: float, words: _Words) -> Section:
    """From a FlattenedPrompt or a Blend of compel's."""
    if not hasattr(prompt, "prompts"):
        return Section((_fragments(prompt, words),), weight=_finite(weight))
    shares = tuple(_finite(float(share)) for share in prompt.weights)
    if prompt.normalize_weights and sum(shares) == 0:
        raise InvalidRequest("the weights of .blend() add up to 0", remedy=REMEDY)
    texts = tuple(_fragments(text, words) for text in prompt.prompts)
    return Section(texts, shares, prompt.normalize_weights, _finite(weight))


def _fragments(prompt: Any, words: _Words) -> Fragments:
    found = [Fragment(words.back(child.text), _finite(child.weight)) for child in prompt.children]
    return tuple(fragment for fragment in found if fragment.text.strip())


def _finite(weight: float) -> float:
    if not math.isfinite(weight):
        raise InvalidRequest("a weight is infinite", remedy=REMEDY)
    return weight
