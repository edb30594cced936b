from __future__ import annotations

import dataclasses
import errno
import itertools
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PIL import Image

from ecurie.domain import Job, JobState, Setup
from ecurie.errors import StorageFull
from ecurie.images.files import OutputFolder, discard_runs
from ecurie.images.storage import LocalFolder
from ecurie.images.whole_files import PARTIAL_SUFFIX, remove_partial_files
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


def test_each_run_of_a_job_writes_names_of_its_own(tmp_path: Path) -> None:
    for attempt in (1, 2):
        OutputFolder(LocalFolder(tmp_path), "job", CREATED, attempt=attempt).save(PICTURE, REQUEST, 0, SETUP)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_lost_runs_left_is_removed_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job("job", JobState.RUNNING, REQUEST, CREATED)
    storage = LocalFolder(tmp_path)
    first, second, third = (OutputFolder(storage, "job", CREATED, attempt=number) for number in (1, 2, 3))
    for run, index in itertools.product((first, second, third), (0, 1)):
        run.save(PICTURE, REQUEST, index, SETUP)
    kept = {third.name_of(REQUEST, index) for index in (0, 1)}
    kept.add(OutputFolder(storage, "other", CREATED).save(PICTURE, REQUEST, 0, SETUP).filename)
    half = second.name_of(REQUEST, 1)
    (tmp_path / f".{half}.123-456{PARTIAL_SUFFIX}").write_bytes(b"half")
    discard_runs(storage, job, (1, 2))
    assert {file.name for file in tmp_path.iterdir()} == kept
    discard_runs(LocalFolder(tmp_path / "gone"), job, (3,))
    (tmp_path / "file").touch()
    discard_runs(LocalFolder(tmp_path / "file"), job, (3,))
    assert "job job: what a lost run left cannot be removed" in caplog.text


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
