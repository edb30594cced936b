from __future__ import annotations

from typing import Any

import pytest

from ecurie.errors import InvalidRequest
from ecurie.formats.prompt_syntax import parse_prompt, settle_syntax, tell_syntax

TOLD = [
    ("red apple", None),
    ("a cat, (orange)", None),
    (r"mira \(heroine\) \[x\]", None),
    ("c+ grade, wide-", None),
    ("sci-fi 18+ 1girl", None),
    ("apple++", "compel"),
    ("an apple--, dog", "compel"),
    ("(red apple)1.3", "compel"),
    ("(red apple)1.3, dog", "compel"),
    ("(red apple)+", "compel"),
    ("(red)-1", "compel"),
    ('"red apple"1.2', "compel"),
    ('("a", "b").and()', "compel"),
    ("(a, b).blend(1, 0.5)", "compel"),
    ("a cat.swap(dog)", "compel"),
    ("withLora(style)", "compel"),
    ("(red apple:1.3)", "a1111"),
    ("(red apple: 1 )", "a1111"),
    ("a [dog]", "a1111"),
    ("[unclosed", "a1111"),
    ("a BREAK b", "a1111"),
    ("(cat:1.2)1girl", "a1111"),
    ("(cat:1.2)-like", "a1111"),
]


@pytest.mark.parametrize(("prompt", "syntax"), TOLD)
def test_the_marks_tell(prompt: str, syntax: str | None) -> None:
    assert tell_syntax(prompt) == syntax


@pytest.mark.parametrize("prompt", ["(a:1.2) b++", "(a)1.2 [b]", "a BREAK (b)0.8"])
def test_marks_of_both_are_refused_and_shown(prompt: str) -> None:
    with pytest.raises(InvalidRequest, match=r"two syntaxes: '.*' is compel's, '.*' A1111's") as caught:
        settle_syntax("auto", prompt, "")
    assert "prompt_syntax" in (caught.value.remedy or "")
    assert settle_syntax("a1111", prompt, "") == ("a1111", "a1111")


@pytest.mark.parametrize(
    ("prompt", "negative", "expected"),
    [
        ("cat", "", ("compel", "compel")),
        ("(cat)", "", ("a1111", "compel")),
        ("(cat)", "blurry++", ("compel", "compel")),
        ("(cat) dog+", "", ("compel", "compel")),
        ("cat", "(blurry:1.2)", ("a1111", "a1111")),
        ("cat++", "(blurry:1.2)", ("compel", "a1111")),
        ("cat++", "(blurry)", ("compel", "compel")),
    ],
)
def test_a_text_without_marks_is_read_as_the_other(prompt: str, negative: str, expected: Any) -> None:
    assert settle_syntax("auto", prompt, negative) == expected


@pytest.mark.parametrize(("text", "syntax"), [("[a] b " * 101, "a1111"), ("(a)0.5 b " * 101, "compel")])
def test_more_lowered_weights_than_can_be_encoded_are_refused(text: str, syntax: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"negative_prompt: it (lowers|has more)") as caught:
        parse_prompt(text, syntax, "negative_prompt")
    assert caught.value.field == "negative_prompt"
