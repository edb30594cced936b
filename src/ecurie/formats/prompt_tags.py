"""Adapter tags in a prompt, as A1111 reads them: `<lora:name:0.8>`, `<lora:name:te=1:unet=0.5:lbw=1,0,…>`.

The grammar is that of A1111's Lora extension (`extra_networks_lora.py`): the first number is the text
encoder's and, without a second one, the UNet's too; `te=` and `unet=` stand instead. `lbw=` is that of the
block-weight extension. `<lyco:…>` means the same. The command line's `--lora` takes what stands between the
brackets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce

from ecurie.errors import InvalidRequest, NotBuiltYet
from ecurie.formats.blocks import check_blocks

OPENING = re.compile(r"<(?:lora|lyco):", re.IGNORECASE)
TAG = re.compile(r"<(?:lora|lyco):([^<>]*)>", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(\d++\.?\d*|\.\d+)")
EDGE = ", \t\r\n"
LARGEST = 4
NOT_BUILT = {
    "dyn": "dyn= (only the first ranks of an adapter)",
    "lbwe": "lbwe= (weights by kind of layer)",
    "start": "start= (an adapter from some step on)",
    "stop": "stop= (an adapter up to some step)",
    "step": "step= (an adapter for some steps)",
}
FORM = "write <lora:name>, <lora:name:0.8>, <lora:name:te=0.8:unet=0.5> or <lora:name:0.8:lbw=1,0,…>"


@dataclass(frozen=True, slots=True)
class Tag:
    """One adapter of a prompt; a weight of None is the catalogue's."""

    name: str
    text_encoder: float | None = None
    unet: float | None = None
    blocks: tuple[float, ...] | None = None


def take_tags(prompt: str) -> tuple[str, list[Tag]]:
    """The prompt without its adapter tags and the commas that they leave over, and the tags in order.

    Raises InvalidRequest for a tag that cannot be read, NotBuiltYet for what cannot be done yet.
    """
    for opening in OPENING.finditer(prompt):
        if not TAG.match(prompt, opening.start()):
            shown = prompt[opening.start() : opening.start() + 40]
            raise InvalidRequest(f"the adapter tag '{shown}' is not closed by '>'", remedy=FORM)
    tags = [parse_tag(match[1], match[0]) for match in TAG.finditer(prompt)]
    pieces = TAG.split(prompt)[::2]
    text = reduce(_join, pieces)
    return (text if pieces[-1].strip(EDGE) or not tags else text.rstrip(EDGE)), tags


def _join(left: str, right: str) -> str:
    """Two texts between which a tag stood, with the comma or space that belongs there."""
    if not right.strip(EDGE):
        return left + right
    head, tail = left.rstrip(EDGE), right.lstrip(EDGE)
    gap = left[len(head) :] + right[: len(right) - len(tail)]
    if not head or head.endswith("(") or tail.startswith(")"):
        return head + tail
    return head + (", " if "," in gap else " " if gap else "") + tail


def parse_tag(text: str, shown: str) -> Tag:
    """From what stands between the brackets, after `lora:`; `shown` is how messages call it."""
    name, *parts = (part.strip() for part in text.split(":"))
    if not name:
        raise InvalidRequest(f"{shown} names no adapter", remedy=FORM)
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    numbers = [part for part in parts if "=" not in part]
    if len(numbers) > 2:
        named["dyn"] = numbers[2]
    for key in named:
        if key in NOT_BUILT:
            raise NotBuiltYet(f"{shown}: {NOT_BUILT[key]} cannot be applied yet", remedy="leave it out")
        if key not in ("te", "unet", "lbw"):
            raise InvalidRequest(f"{shown}: '{key}=' is not known", remedy=FORM)
    te, unet = named.get("te", "".join(numbers[:1])), named.get("unet", "".join(numbers[1:2]))
    weight = _number(te, shown) if te else None
    return Tag(
        name,
        text_encoder=weight,
        unet=_number(unet, shown) if unet else weight,
        blocks=_blocks(named["lbw"], shown) if "lbw" in named else None,
    )


def _number(text: str, shown: str) -> float:
    if not NUMBER.fullmatch(text):
        raise InvalidRequest(f"{shown}: '{text}' is no number", remedy=FORM)
    number = float(text)
    if abs(number) > LARGEST:
        raise InvalidRequest(f"{shown}: a weight should be from -{LARGEST} to {LARGEST}, not {text}")
    return number


def _blocks(text: str, shown: str) -> tuple[float, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(NUMBER.fullmatch(word) for word in words):
        raise InvalidRequest(
            f"{shown}: lbw={text} is no list of numbers",
            remedy="write the numbers of a preset instead of its name; R, U and X are not read",
        )
    numbers = [float(word) for word in words]
    try:
        check_blocks(numbers)
    except ValueError as error:
        raise InvalidRequest(f"{shown}: lbw=: {error}") from None
    return tuple(numbers)
