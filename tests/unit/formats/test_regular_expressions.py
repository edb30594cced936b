"""Every expression that reads a client's text takes a time that grows as the text does, not as its square."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ecurie.errors import RequestError
from ecurie.formats.a1111_prompt import BREAK, WHEN
from ecurie.formats.compel_prompt import MARK, PLAIN_OUTSIDE
from ecurie.formats.embedding_names import bare_names
from ecurie.formats.prompt_syntax import A1111, COMPEL, ROUND, SINGLE, parse_prompt
from ecurie.formats.prompt_tags import take_tags
from ecurie.formats.wildcards import HAS_ANY, SHARE, TOKEN

MANY = 100_000
LONGEST_SECONDS = 2.0
UNITS = [
    "1",
    " ",
    "+",
    "-",
    "a+",
    "+-",
    ":",
    ": ",
    ":1 ",
    "(:1",
    ")-1",
    ").",
    "__a",
    "._",
    "\\",
    "<",
    "a,",
    "BREAK ",
]
"""A hundred thousand characters of these took the old expressions minutes."""


def seconds(read: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    try:
        read(text)
    except RequestError:
        pass
    return time.process_time() - began


@pytest.mark.parametrize("unit", UNITS)
def test_texts_that_nearly_match_take_no_time(unit: str) -> None:
    whole = unit * (MANY // len(unit))
    readers: list[Callable[[str], object]] = [
        *(expression.search for expression in (COMPEL, A1111, ROUND, SINGLE, WHEN, HAS_ANY)),
        *(expression.match for expression in (SHARE, PLAIN_OUTSIDE)),
        BREAK.split,
        MARK.findall,
        TOKEN.findall,
        lambda text: bare_names(text, ["name"]),
    ]
    for text in (whole, f"x{whole}y", f"){whole}y", f'"{whole}y', f":1{whole}y", f"embedding:{whole}"):
        for read in readers:
            assert seconds(read, text) < LONGEST_SECONDS, (read, text[:20])


@pytest.mark.parametrize("weight", ["1" * MANY + "x", "1." * (MANY // 2), "." * MANY])
def test_weights_of_tags_that_are_no_numbers_take_no_time(weight: str) -> None:
    assert seconds(take_tags, f"<lora:name:{weight}>") < LONGEST_SECONDS


@pytest.mark.parametrize("syntax", ["compel", "a1111"])
@pytest.mark.parametrize(
    "text",
    [
        "(" * 10_000,
        "(" * 5_000 + ")" * 5_000,
        "[" * 10_000,
        "\\" * 10_000,
        "a+b-" * 2_500,
        "(a,b " * 100 + "a,b " * 2_000 + ")1.1" * 90,
        '"' + "a " * 4_900 + '"',
        "a .swap " + "b " * 4_900,
        "x" + " " * 9_990 + "y",
        ")" + "1" * 9_990 + "x",
        "BREAK " * 1_600,
    ],
)
def test_ten_thousand_characters_are_read_or_refused_within_a_second(text: str, syntax: str) -> None:
    assert seconds(lambda prompt: parse_prompt(prompt, syntax, "prompt"), text) < LONGEST_SECONDS  # type: ignore[arg-type]
