"""The oracle is compel's own parser."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
from compel import Compel

from ecurie.errors import InvalidRequest
from ecurie.formats import compel_prompt
from ecurie.formats.compel_prompt import MOST_MARKS, parse_compel

WORDS = (
    "a red apple, dog. x-y ( (b ) c) c)1.3 (d)++ e+ f-- - + . \\(k\\) (q)0.5 1.2 , = a=b x(y) ): w.(z) "
    '(\'m\') -z a-.b o)--, # 猫 g.attend(1.2) "q" "r'
).split()
Texts = list[list[tuple[str, float]]]


def theirs(prompt: str) -> Texts:
    return [_words(child.children) for child in Compel.parse_prompt_string(prompt).prompts]


def ours(prompt: str) -> Texts:
    return [_words(section.texts[0]) for section in parse_compel(prompt)]


def _words(fragments: Any) -> list[tuple[str, float]]:
    return [(" ".join(one.text.split()), one.weight) for one in fragments if one.text.strip()]


def test_words_and_weights_are_compel_s() -> None:
    chance = random.Random(7)
    read = 0
    for _ in range(90):
        prompt = " ".join(chance.choices(WORDS, k=chance.randrange(1, 14)))
        try:
            expected = theirs(prompt)
        except Exception:
            with pytest.raises(InvalidRequest, match="cannot be read"):
                parse_compel(prompt)
            continue
        assert ours(prompt) == expected, prompt
        read += 1
    assert read > 30


def test_blends_and_conjunctions_are_told_apart() -> None:
    (blend,) = parse_compel('("a cat", "a (dog)1.2").blend(1, 0.5)')
    assert blend.shares == (1, 0.5)
    assert blend.normalize
    assert [[one.text for one in text] for text in blend.texts] == [["a cat"], ["a", "dog"]]
    first, second = parse_compel('("a cat", "dog").and(1, 0.5)')
    assert (first.weight, second.weight, first.shares) == (1, 0.5, None)
    assert second.texts[0][0].text == "dog"


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("a withLora(style, 0.8)", "withLora.* cannot be applied"),
        ("a cat.swap(dog) on a mat", "swap.* cannot be applied"),
        ('("a", "b").blend(1)', "cannot be read"),
        ('("a", "b").blend(1, -1)', "add up to 0"),
        ("(" * 99 + "a" + ")" * 99, "nested too deeply"),
        ("(a)1.1 " * 101, f"more than {MOST_MARKS} marks"),
    ],
)
def test_what_cannot_be_applied_is_refused(prompt: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        parse_compel(prompt)


def test_long_plain_texts_are_read_at_once() -> None:
    """Compel's grammar takes milliseconds for each word: five seconds for these."""
    began = time.process_time()
    for text in ("sci-fi apple, " * 700, "(red apple)1.2 " + "well lit. " * 900):
        assert len(ours(text)[0][-1][0].split()) > 1000
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "prompt",
    ["red apple", "a,b ,c", "  sci-fi 18+ 1girl ", "c+ grade, wide-", "日本 é", "a.b, c=1", ","],
)
def test_a_prompt_without_marks_is_what_the_grammar_would_make_of_it(
    prompt: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = parse_compel(prompt)
    monkeypatch.setattr(compel_prompt._Shortened, "plain", False)
    assert parse_compel(prompt) == ours
