from __future__ import annotations

import dataclasses
import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from ecurie.domain import Setup
from ecurie.errors import StorageFull
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.images.whole_files import remove_partial_files
from tests.unit.jobs.test_store import REQUEST

SETUP = Setup("cpu", "float32", "EulerDiscreteScheduler", {})
CREATED = datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC)
PICTURE = Image.new("RGB", (64, 64), "red")


def test_names_tell_model_and_time_and_differ_by_image(tmp_path: Path) -> None:
    outputs = OutputFolder(LocalFolder(tmp_path), "job", CREATED)
    names = [outputs.save(PICTURE, REQUEST, index, SETUP).filename for index in range(2)]
    assert names[0].startswith("sdxl-base_20261124_123005_")
    assert len(set(names)) == 2
    assert sorted(names) == sorted(file.name for file in tmp_path.iterdir())


def test_a_job_that_runs_again_writes_the_same_names(tmp_path: Path) -> None:
    for _ in range(2):
        OutputFolder(LocalFolder(tmp_path), "job", CREATED).save(PICTURE, REQUEST, 0, SETUP)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_fixed_name_is_numbered_from_the_second_image_on(tmp_path: Path) -> None:
    outputs = OutputFolder(LocalFolder(tmp_path), "job", CREATED, "apple.png")
    names = [outputs.save(PICTURE, REQUEST, index, SETUP).filename for index in range(3)]
    assert names == ["apple.png", "apple-2.png", "apple-3.png"]


@pytest.mark.parametrize("prompt", ["(猫:1.2) \N{ROCKET}", 'a "quoted", b: c\nsecond line', "</script>"])
def test_any_prompt_comes_back_from_the_file(tmp_path: Path, prompt: str) -> None:
    request = dataclasses.replace(REQUEST, prompt=prompt, final_prompt=prompt)
    image = OutputFolder(LocalFolder(tmp_path), "job", CREATED).save(PICTURE, request, 0, SETUP)
    with Image.open(tmp_path / image.filename) as picture:
        assert picture.text["parameters"].startswith(f"{prompt}\nSteps: 30, ")  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageFull, match="no room"):
        OutputFolder(LocalFolder(tmp_path), "job", CREATED).save(PICTURE, REQUEST, 0, SETUP)
    assert list(tmp_path.iterdir()) == []


def test_other_faults_of_the_disk_are_not_called_full(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        OutputFolder(LocalFolder(tmp_path / "file" / "outputs"), "job", CREATED).save(
            PICTURE, REQUEST, 0, SETUP
        )


def test_files_left_half_written_are_removed_at_the_start(tmp_path: Path) -> None:
    image = OutputFolder(LocalFolder(tmp_path), "job", CREATED).save(PICTURE, REQUEST, 0, SETUP)
    (tmp_path / f".{image.filename}.partial").write_bytes(b"half")
    remove_partial_files(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [image.filename]
