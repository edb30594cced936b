from __future__ import annotations

import time
from pathlib import Path

import pytest

from ecurie.catalog.yaml_file import read_catalog
from ecurie.errors import CatalogError

GOOD = """\
defaults: {model: one}
models:
  one:
    name: One
    path: ./one
    vae_path: ./vae
loras:
  soft: {name: Soft, source: ./soft.safetensors, default_weight: 0.5, trigger_words: [soft]}
lycoris:
  hard: {name: Hard, source: ./hard.safetensors}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "ecurie.yaml"
    file.write_text(text)
    return file


def test_the_first_design_s_names_are_accepted(tmp_path: Path) -> None:
    catalog = read_catalog(write(tmp_path, GOOD))
    assert (catalog.models["one"].source, catalog.models["one"].vae) == ("./one", "./vae")
    assert {name: entry.kind for name, entry in catalog.adapters.items()} == {
        "soft": "lora",
        "hard": "lycoris",
    }
    assert catalog.adapters["soft"].default_weight == 0.5


@pytest.mark.parametrize(
    ("old", "new", "line", "reason"),
    [
        ("    name: One", "    nmae: One", 3, "name"),
        ("    path: ./one", "    path: ./one\n    colour: red", 6, "unknown field"),
        ("    path: ./one", "    path: ./one\n    size: [1000, 1001]", 6, "multiple of 8"),
        ("    path: ./one", "    path: ./one\n    scheduler: eular", 6, "unknown scheduler 'eular'"),
        ("{model: one}", "{model: two}", 1, "'two'"),
        ("  one:", "  ../one:", 3, "pattern"),
        ("  hard:", "  a/b:", 10, "pattern"),
        ("default_weight: 0.5", "default_weight: 9", 8, "less than or equal to 4"),
        ("  hard:", "  soft:", 10, "two sections"),
        ("models:", "models: [", None, "expected"),
        ("lycoris:", "loras:", 9, "twice"),
    ],
)
def test_a_mistake_is_reported_with_its_line(
    tmp_path: Path, old: str, new: str, line: int | None, reason: str
) -> None:
    assert old in GOOD
    with pytest.raises(CatalogError) as caught:
        read_catalog(write(tmp_path, GOOD.replace(old, new, 1)))
    assert reason in str(caught.value)
    if line is not None:
        assert f"line {line}:" in str(caught.value)


@pytest.mark.parametrize("text", ["", "just words", "[]", "\x00", "a: !!python/object:os.system {}"])
def test_what_is_no_catalogue_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CatalogError):
        read_catalog(write(tmp_path, text))


LAUGHS = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}, r: *a{n - 1}}}" for n in range(1, 40))]
)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, "{a: " * 100_000, "a: &a {b: *a}", LAUGHS, f"models:\n  one: &one [{'*one, ' * 9}]"],
    ids=["lists", "mappings", "itself", "laughs", "list of itself"],
)
def test_a_catalogue_that_swells_is_refused_soon(tmp_path: Path, text: str) -> None:
    file, began = write(tmp_path, text), time.process_time()
    with pytest.raises(CatalogError):
        read_catalog(file)
    assert time.process_time() - began < 10


@pytest.mark.parametrize("section", ["adapters", "loras", "lycoris"])
@pytest.mark.parametrize("content", ["[a, b]", "5", "text"])
def test_a_section_that_is_no_mapping_is_named(tmp_path: Path, section: str, content: str) -> None:
    text = (
        "models:\n  one: {name: One, source: ./one}\n" + f"{section}: {content}\ndefaults: {{model: one}}\n"
    )
    with pytest.raises(CatalogError, match=f"'{section}' should be a mapping"):
        read_catalog(write(tmp_path, text))


def test_a_default_that_is_no_model_is_reported_with_its_line(tmp_path: Path) -> None:
    text = "models:\n  one: {name: One, source: ./one}\ndefaults:\n  model: two\n"
    with pytest.raises(CatalogError, match=r"line 4: defaults\.model names 'two'"):
        read_catalog(write(tmp_path, text))


def test_a_section_that_was_left_empty_is_one_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "ecurie.yaml"
    empty = "".join(f"{section}:\n" for section in ("adapters", "loras", "presets", "ip_adapters"))
    file.write_text("defaults: {model: base}\nmodels: {base: {name: B, source: ./base}}\n" + empty)
    content = read_catalog(file)
    assert (content.adapters, content.presets, content.ip_adapters) == ({}, {}, {})
