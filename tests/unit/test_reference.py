"""The API reference is made of what the application says of itself."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from openapi import description
from reference import pages


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return description()


@pytest.fixture(scope="module")
def written(api: dict[str, Any]) -> dict[str, str]:
    return pages(api)


def test_every_route_is_on_one_page_and_in_the_index(api: dict[str, Any], written: dict[str, str]) -> None:
    for path, methods in api["paths"].items():
        for method in methods:
            name = f"`{method.upper()} {path}`"
            (page,) = (page for page, text in written.items() if f"## {name}\n" in text)
            assert f"[{name}]({page}.md#" in written["index"]


def test_a_page_is_named_by_the_tag_else_by_the_path() -> None:
    route = {"summary": "It", "responses": {"200": {"description": "Successful Response"}}}
    paths = {"/a": {"get": {**route, "tags": ["Two Words"]}}, "/b/c": {"get": route}}
    made = pages({"info": {"version": "1"}, "paths": paths, "components": {"schemas": {}}})
    assert set(made) == {"index", "types", "two-words", "b"}


def test_a_field_has_its_kind_limits_default_and_meaning(written: dict[str, str]) -> None:
    page = written["generate"]
    assert "| `steps` | integer, 1 to 150 | `30` | Denoising steps. |" in page
    assert "| `prompt` | string, 1 to 10000 characters, `^" in page
    assert (
        "| `loras` | list of [LoraBody](types.md#lorabody), ≤ 64 items | `[]` | The adapter stack. |" in page
    )
    assert '| `format` | `png`, `webp`, `jpeg` | `"png"` |' in page


def test_a_bar_in_a_cell_is_not_the_end_of_it(written: dict[str, str]) -> None:
    assert r"`{a\|b}`" in written["generate"]
    for line in written["generate"].splitlines():
        if line.startswith("| `prompt`"):
            assert line.replace(r"\|", "").count("|") == 5


def test_parameters_answers_and_examples_are_told(written: dict[str, str]) -> None:
    page = written["generate"]
    assert "| `wait` | query | number, 0 to 600 | `0` |" in page
    assert "| 202 | [JobOut](types.md#jobout), `application/json` | success |" in page
    assert '```json\n{"prompt": "red apple"}\n```' in page
    assert "**Body**, `multipart/form-data`" in written["pictures"]


def test_every_type_that_is_named_is_described(written: dict[str, str], api: dict[str, Any]) -> None:
    for name in api["components"]["schemas"]:
        assert f"## {name}\n" in written["types"]
