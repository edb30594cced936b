"""An entry is added as text: everything else of the file stays as it was, to the letter."""

from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import pytest

from ecurie.catalog.catalog import BUILTIN
from ecurie.catalog.entries import ADAPTER_SECTIONS
from ecurie.catalog.yaml_edit import add_entry
from ecurie.catalog.yaml_file import read_catalog
from ecurie.errors import CatalogError

HEAD = "# mine\ndefaults: {model: a}\nmodels:\n  a: {name: A, source: ./a}  # the first\n"
FIELDS = {"name": "Ink: 'n' wash, no. 2", "source": "./ink.safetensors", "trigger_words": ["ink", "a, b"]}

LAYOUTS = {
    "no section": HEAD,
    "no end of line": HEAD.rstrip(),
    "block": HEAD + "adapters:\n  # of mine\n  b:\n    name: B\n    source: ./b # here\n\n# the end\n",
    "deep block": HEAD + "adapters:\n    b:\n        name: B\n        source: ./b\n        trigger_words:\n"
    "        - one\n        - two\n",
    "section in front": "adapters:\n  b:\n    name: B\n    source: ./b\n\n" + HEAD,
    "empty": HEAD + "adapters:\n",
    "empty with a comment": HEAD + "adapters:  # none yet\n# the end\n",
    "null": HEAD + "adapters: null  # none yet\n",
    "tilde": "adapters: ~\n" + HEAD,
    "empty flow": HEAD + "adapters: {}  # none yet\n",
    "flow": HEAD + "adapters: {b: {name: B, source: ./b}}\n",
    "flow over lines": HEAD
    + "adapters: {\n  b: {name: B, source: b},  # one\n  c: {name: C, source: c},\n}\n",
    "another section": HEAD + "loras:\n  b: {name: B, source: ./b}\n",
    "block text last": HEAD + "adapters:\n  b:\n    source: ./b\n    name: |\n      B\n      and more\n",
    "quoted last": HEAD + 'adapters:\n  b:\n    source: ./b\n    name: "B # no comment"\n',
    "windows": (HEAD + "adapters:\n  b:\n    name: B\n    source: ./b\n").replace("\n", "\r\n"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_entry_comes_to_what_was_there(tmp_path: Path, layout: str) -> None:
    file = tmp_path / "ecurie.yaml"
    file.write_text(LAYOUTS[layout], newline="")
    before = read_catalog(file)
    add_entry(file, ADAPTER_SECTIONS, "ink", FIELDS)
    after = read_catalog(file)
    assert after.models == before.models
    assert list(after.adapters) == [*before.adapters, "ink"]
    assert after.adapters["ink"].name == FIELDS["name"]
    assert after.adapters["ink"].trigger_words == ("ink", "a, b")
    text = file.read_bytes().decode()
    assert re.findall("#.*", text) == re.findall("#.*", LAYOUTS[layout])
    assert "\n" not in text.replace("\r\n", "") or layout != "windows"
    assert list(tmp_path.iterdir()) == [file]


def test_the_default_catalogue_takes_models_and_adapters_and_keeps_every_line(tmp_path: Path) -> None:
    file = Path(shutil.copyfile(BUILTIN["default"], tmp_path / "ecurie.yaml"))
    before = file.read_text().splitlines()
    add_entry(file, ("models",), "mine", {"name": "Mine", "source": "./mine", "size": [832, 1216]})
    add_entry(file, ADAPTER_SECTIONS, "ink", FIELDS)
    after = file.read_text().splitlines()
    rest = iter(after)
    assert all(line in rest for line in before)
    assert read_catalog(file).models["mine"].size == (832, 1216)
    assert len(after) == len(before) + 4 + 4


@pytest.mark.parametrize(
    "text",
    [
        "{defaults: {model: a}, models: {a: {name: A, source: ./a}}}\n",
        # Its last adapter's text stands among the models.
        HEAD.replace("a: {name", "a: &a {name") + "adapters:\n  c: *a\n",
    ],
)
def test_a_layout_that_is_not_understood_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ecurie.yaml"
    file.write_text(text)
    with pytest.raises(CatalogError, match="no entry can be added") as caught:
        add_entry(file, ADAPTER_SECTIONS, "ink", {"name": "Ink", "source": "./ink"})
    assert "ink:\n" in (caught.value.remedy or "")
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("entry_id", "fields"),
    [("no good", FIELDS), ("ink", {"name": "Ink"}), ("a", {**FIELDS, "size": [1, 2]}), ("b", FIELDS)],
)
def test_an_entry_that_is_not_valid_changes_nothing(
    tmp_path: Path, entry_id: str, fields: dict[str, object]
) -> None:
    file, text = tmp_path / "ecurie.yaml", HEAD + "adapters:\n  b: {name: B, source: ./b}\n"
    file.write_text(text)
    with pytest.raises(CatalogError) as caught:
        add_entry(file, ADAPTER_SECTIONS, entry_id, fields)
    assert "partial" not in str(caught.value)
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_and_the_file_s_mode_are_kept(tmp_path: Path) -> None:
    file, link = tmp_path / "real.yaml", tmp_path / "ecurie.yaml"
    file.write_text(HEAD)
    file.chmod(0o640)
    link.symlink_to(file)
    add_entry(link, ADAPTER_SECTIONS, "ink", FIELDS)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert "ink" in read_catalog(file).adapters
