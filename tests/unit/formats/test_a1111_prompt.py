"""A1111's grammar, from its own doctests and wiki; what would change over the steps is refused."""

from __future__ import annotations

import contextlib
import time

import pytest

from ecurie.errors import InvalidRequest
from ecurie.formats.a1111_prompt import LARGEST_WEIGHT, MOST_SECTIONS, parse_a1111

Parsed = list[list[tuple[str, float]]]


def parsed(prompt: str) -> Parsed:
    """Words and weights of each section."""
    found = parse_a1111(prompt)
    assert all(section.shares is None and section.weight == 1 for section in found)
    return [
        [(" ".join(fragment.text.split()), round(fragment.weight, 6)) for fragment in section.texts[0]]
        for section in found
    ]


def one(*fragments: tuple[str, float]) -> Parsed:
    return [list(fragments)]


GRAMMAR: list[tuple[str, Parsed]] = [
    ("", one()),
    (" \n\t ", one()),
    ("()", one()),
    ("(((  )))", one()),
    ("red apple", one(("red apple", 1))),
    ("(word)", one(("word", 1.1))),
    ("((word))", one(("word", 1.21))),
    ("(((word)))", one(("word", 1.331))),
    ("[word]", one(("word", 0.909091))),
    ("[[word]]", one(("word", 0.826446))),
    ("([word])", one(("word", 1))),
    ("(word:1.3)", one(("word", 1.3))),
    ("(word: 1.3 )", one(("word", 1.3))),
    ("(word :1.3)", one(("word", 1.3))),
    ("(word:.5)", one(("word", 0.5))),
    ("(word:+2)", one(("word", 2))),
    ("(word:0)", one(("word", 0))),
    ("(a (b:1.5) c:2)", one(("a", 2), ("b", 3), ("c", 2))),
    ("((a:1.2))", one(("a", 1.32))),
    ("[(a:1.1)]", one(("a", 1))),
    ("a (b) c", one(("a", 1), ("b", 1.1), ("c", 1))),
    ("(a) (b)", one(("a", 1.1), ("b", 1.1))),
    ("(a:b)", one(("a:b", 1.1))),
    ("(a:b:1.2)", one(("a:b", 1.2))),
    ("(a:1.2:3)", one(("a:1.2", 3))),
    ("a:1.2", one(("a:1.2", 1))),
    ("a:1.2)", one(("a:1.2)", 1))),
    ("ratio 16:9, b", one(("ratio 16:9, b", 1))),
    ("[a:b]", one(("a:b", 0.909091))),
    ("(a|b)", one(("a|b", 1.1))),
    # Brackets that are never closed reach to the end; those never opened are letters.
    ("(unbalanced", one(("unbalanced", 1.1))),
    ("a ((b c", one(("a", 1), ("b c", 1.21))),
    ("a [b c", one(("a", 1), ("b c", 0.909091))),
    ("[a|b", one(("a|b", 0.909091))),
    ("a) b", one(("a) b", 1))),
    ("a] b :-)", one(("a] b :-)", 1))),
    (r"\(literal\]", one(("(literal]", 1))),
    (r"(a \(b\) c:1.2)", one(("a (b) c", 1.2))),
    (r"\[a|b\]", one(("[a|b]", 1))),
    (r"mira \(heroine\)s", one(("mira (heroine)s", 1))),
    (r"a\\b \d", one(("a\\b d", 1))),
    ("(a\nb:1.2)\nc", one(("a b", 1.2), ("c", 1))),
    ("(猫:1.2) 🍎", one(("猫", 1.2), ("🍎", 1))),
    ("a++ (b)1.2", one(("a++", 1), ("b", 1.1), ("1.2", 1))),
    # The example of A1111's own documentation.
    (
        "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
        one(
            ("a", 1),
            ("house", 1.573),
            ("on", 1),
            ("a", 1.1),
            ("hill", 0.55),
            (", sun,", 1.1),
            ("sky", 1.4641),
            (".", 1.1),
        ),
    ),
    ("a BREAK b", [[("a", 1)], [("b", 1)]]),
    ("a,BREAK(b:1.2)", [[("a,", 1)], [("b", 1.2)]]),
    ("BREAK a BREAK BREAK b BREAK", [[("a", 1)], [("b", 1)]]),
    ("BREAK", one()),
    ("breakfast BREAKER break", one(("breakfast BREAKER break", 1))),
]


@pytest.mark.parametrize(("prompt", "expected"), GRAMMAR)
def test_the_grammar(prompt: str, expected: Parsed) -> None:
    assert parsed(prompt) == expected


REFUSED = [
    ("(a:-1)", "below 0 .* at character|'.*-1\\)' at character 3"),
    ("(a:1.2.3)", "'1.2.3' is no number"),
    ("(a:.)", "no number"),
    ("a [b:c:0.5] d", r"the '\[' at character 3 begins prompt editing"),
    ("[b:0.5]", "prompt editing"),
    ("[b::10]", "prompt editing"),
    ("[(b:1.2):c:5]", "prompt editing"),
    ("[a|b]", "alternation"),
    ("[(a)|b:c]", "alternation"),
    ("(a [b) c]", r"character 6 closes a bracket across the '\[' that character 4"),
    ("[a (b] c)", "across"),
    ("(a BREAK b:1.2)", "BREAK near character 2 stands in brackets"),
    ("(a BREAK b", "in brackets"),
    ("a cat AND a dog", "AND near character 1"),
    ("(" * 60 + "a" + ")" * 60, "multiply to a weight of"),
    ("(a:101)", f"at most {LARGEST_WEIGHT:g}"),
    ("(a:" + "9" * 400 + ")", "weight of inf"),
    ("a BREAK " * (MOST_SECTIONS + 1), f"at most {MOST_SECTIONS}"),
]


@pytest.mark.parametrize(("prompt", "reason"), REFUSED)
def test_what_cannot_be_applied_is_refused_by_name(prompt: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        parse_a1111(prompt)


@pytest.mark.parametrize(
    "unit",
    ["(", "[", ")", "]", ":", "\\", "(a:0.9)", "[a]", "(a", "[a ", ":   ", ":1.2", "a BREAK\n", "[(])"],
)
def test_time_grows_with_the_length_alone(unit: str) -> None:
    prompt = unit * (100_000 // len(unit))
    began = time.process_time()
    with contextlib.suppress(InvalidRequest):
        parse_a1111(prompt)
    assert time.process_time() - began < 2
