"""Names of textual-inversion embeddings in prompts: words that stand for vectors.

A name is matched as a word, without regard to case. Before a prompt is parsed, one private character takes
the place of a name, so no name can be mistaken for syntax.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

FIRST_MARK = 0x100000
COMFY = re.compile(r"(?<!\w)embedding:", re.IGNORECASE)
SUFFIX = re.compile(r"\.(?:safetensors|pt|bin)(?!\w)", re.IGNORECASE)
UNKNOWN_NAME = re.compile(r"[^\s,()\[\]{}|:<>\"]*[^\s,()\[\]{}|:<>\".+-]")


def names_in(names: Iterable[str], prompts: Sequence[str]) -> list[str]:
    """Those that a prompt says, longer ones first: one may hold another."""
    folded = [prompt.casefold() for prompt in prompts]
    said = [
        name
        for name in names
        if any(name.casefold() in prompt for prompt in folded)
        and any(word_of(name).search(prompt) for prompt in prompts)
    ]
    return sorted(said, key=lambda name: (-len(name), name))


class NameMarks:
    """A private character for each name that some prompts say."""

    def __init__(self, names: Iterable[str], prompts: Sequence[str]):
        typed = set().union(*prompts)
        free = (mark for code in range(FIRST_MARK, FIRST_MARK + 0xFFFF) if (mark := chr(code)) not in typed)
        self.name_of = dict(zip(free, names_in(names, prompts), strict=False))

    def mark(self, prompt: str) -> str:
        """The prompt with a mark for every name."""
        for mark, name in self.name_of.items():
            prompt = word_of(name).sub(mark, prompt)
        return prompt


def bare_names(prompt: str, known: Iterable[str]) -> tuple[str, list[str]]:
    """`embedding:name`, as ComfyUI writes it, as the name alone; and those that are not known."""
    longest_first = sorted(known, key=lambda name: (-len(name), name))
    pieces, unknown = [], []
    position = 0
    for prefix in COMFY.finditer(prompt):
        pieces.append(prompt[position : prefix.start()])
        position = prefix.end()
        name = _name_at(prompt, position, longest_first)
        if name is None:
            match = UNKNOWN_NAME.match(prompt, position)
            unknown.append(match[0] if match else "")
        else:
            pieces.append(prompt[position : position + len(name)])
            position += len(name)
            suffix = SUFFIX.match(prompt, position)
            position = suffix.end() if suffix else position
    return "".join([*pieces, prompt[position:]]), unknown


def _name_at(prompt: str, position: int, names: Iterable[str]) -> str | None:
    for name in names:
        if prompt[position : position + len(name)].casefold() == name.casefold() and word_of(name).match(
            prompt, position
        ):
            return name
    return None


@lru_cache(maxsize=4096)
def word_of(name: str) -> re.Pattern[str]:
    before = r"(?<!\w)" if re.match(r"\w", name) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", name) else ""
    return re.compile(before + re.escape(name) + after, re.IGNORECASE)
