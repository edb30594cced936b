from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ecurie.engine.tokenizers import load_tokenizer
from ecurie.errors import WeightsInvalid
from tests.conftest import DEMO_FOLDER

SOURCE = DEMO_FOLDER / "tokenizer"


def test_folders_with_the_same_files_share_a_tokenizer(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(SOURCE, tmp_path / "copied"))
    assert load_tokenizer(copied) is load_tokenizer(SOURCE)
    assert load_tokenizer(DEMO_FOLDER / "tokenizer_2") is not load_tokenizer(SOURCE)


def test_a_changed_file_makes_another(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SOURCE, tmp_path / "folder"))
    before = load_tokenizer(folder)
    merges = (folder / "merges.txt").read_text().splitlines()
    (folder / "merges.txt").write_text("\n".join(merges[:1000]))
    ids = load_tokenizer(folder)("apple").input_ids
    assert len(ids) > len(before("apple").input_ids)


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_damaged_file_is_refused(name: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SOURCE, tmp_path / "folder"))
    (folder / name).write_text("\0{")
    with pytest.raises(WeightsInvalid, match="no usable tokenizer"):
        load_tokenizer(folder)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsInvalid, match="no usable tokenizer"):
        load_tokenizer(tmp_path / "nothing")
