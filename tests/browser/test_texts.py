"""Every text of the page is there in both languages, and used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from ecurie.api.page import FOLDER

Texts = dict[str, Any]


def texts_of(page: Page, language: str) -> Texts:
    """As the page itself loads them."""
    base = page.locator("script[type=module]").get_attribute("src")
    assert base is not None
    loaded: Texts = page.evaluate(
        f"import('{base.removesuffix('app.js')}lang/{language}/all.js').then((module) => module.default)"
    )
    return loaded


def holes(text: Any) -> set[str]:
    forms = text.values() if isinstance(text, dict) else [text]
    return set(re.findall(r"\{(\w+)\}", " ".join(forms)))


def sources() -> str:
    """Of everything that may name a text."""
    files = [file for file in FOLDER.rglob("*.js") if not {"lang", "vendor"} & set(file.parts)]
    return "\n".join(map(Path.read_text, files))


def test_both_languages_say_the_same(page: Page) -> None:
    english, french = texts_of(page, "en"), texts_of(page, "fr")
    assert english.keys() == french.keys()
    assert {key: holes(text) for key, text in english.items()} == {
        key: holes(text) for key, text in french.items()
    }
    assert {key for key, text in english.items() if isinstance(text, dict)} == {
        key for key, text in french.items() if isinstance(text, dict)
    }


def test_every_text_is_used_and_every_used_one_is_there(page: Page) -> None:
    """By name, or by the beginning of one (`view.${name}`)."""
    known, code = texts_of(page, "en").keys(), sources()
    beginnings = set(re.findall(r"\bt\(`([\w.]+\.)\$\{", code))
    unused = {key for key in known if f"'{key}'" not in code and not key.startswith(tuple(beginnings))}
    assert unused == set()
    named = set(re.findall(r"\bt\('([\w.]+)'", code))
    assert named - known == set()
    assert all(any(key.startswith(beginning) for key in known) for beginning in beginnings)
