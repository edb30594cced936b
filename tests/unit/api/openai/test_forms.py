"""Forms as the SDKs write them."""

from __future__ import annotations

from typing import Any

import pytest

from ecurie.api.openai.forms import nested
from ecurie.errors import InvalidRequest


@pytest.mark.parametrize(
    ("texts", "fields"),
    [
        ([("prompt", "{a|b}"), ("n", "2")], {"prompt": "{a|b}", "n": "2"}),
        ([("reference_images[]", "a"), ("reference_images[]", "b")], {"reference_images": ["a", "b"]}),
        ([("hires[scale]", "2"), ("hires[steps]", "4")], {"hires": {"scale": "2", "steps": "4"}}),
        (
            [
                ("loras[][name]", "a"),
                ("loras[][name]", "b"),
                ("loras[][weight]", "1"),
                ("loras[][weight]", "0.5"),
            ],
            {"loras": [{"name": "a", "weight": "1"}, {"name": "b", "weight": "0.5"}]},
        ),
        (
            [("loras", '[{"name": "a", "blocks": {"IN": 0}}]')],
            {"loras": [{"name": "a", "blocks": {"IN": 0}}]},
        ),
        ([("lora", "ink")], {"lora": "ink"}),
    ],
)
def test_names_say_where_a_value_stands(texts: list[tuple[str, str]], fields: dict[str, Any]) -> None:
    assert nested(texts) == fields


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([("loras[][name]", "a"), ("loras[][name]", "b"), ("loras[][weight]", "1")], "one JSON text"),
        ([("loras", "[{")], "not valid JSON"),
        ([("loras", "[" * 100_000)], "not valid JSON"),
        ([("a[b][c]", "1")], "no field has such a name"),
        ([("", "1")], "no field has such a name"),
        ([("n", "1"), ("n", "2")], "there twice"),
        ([("hires[scale]", "2"), ("hires", "x")], "there twice"),
        ([("hires", "x"), ("hires[scale]", "2")], "in two ways"),
        ([("hires[]", "x"), ("hires[scale]", "2")], "in two ways"),
        ([("hires[scale]", "2"), ("hires[]", "x")], "in two ways"),
        ([("loras", "x"), ("loras[][name]", "2")], "in two ways"),
    ],
)
def test_what_is_ambiguous_is_refused(texts: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        nested(texts)
    assert said in raised.value.whole
