from __future__ import annotations

import errno
import hashlib
import os
import time
from pathlib import Path
from typing import IO

import pytest

from ecurie.domain import PictureUse
from ecurie.errors import BodyTooLarge, InvalidRequest, StorageFull, UnknownPicture
from ecurie.images import whole_files
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import DAY, Pictures, UploadLimits
from tests.unit.images.pictures import plain, saved

CONTENT = saved(plain(6, 4))


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    (tmp_path / "outputs").mkdir()
    return Pictures(
        LocalFolder(tmp_path / "uploads"), LocalFolder(tmp_path / "outputs"), UploadLimits(1000, 1000)
    )


def test_a_picture_is_kept_under_its_content(pictures: Pictures, tmp_path: Path) -> None:
    upload = pictures.add(CONTENT, "file")
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert (upload.use.sha256, upload.use.id) == (digest, digest[:32])
    assert (upload.use.file, pictures.content(upload.use)) == (f"{digest[:32]}.png", CONTENT)
    assert (upload.format, upload.width, upload.height, upload.bytes) == ("png", 6, 4, len(CONTENT))
    assert pictures.add(CONTENT, "file") == pictures.find(upload.use.id) == upload
    assert [file.name for file in (tmp_path / "uploads").iterdir()] == [f"{digest[:32]}.png"]


@pytest.mark.parametrize(
    "name",
    ["", "..", "../jobs.db", "/etc/passwd", "0" * 32, "a" * 31, "A" * 32, f"{'0' * 32}.png", "a\0b", "*"],
)
def test_other_names_lead_nowhere(pictures: Pictures, name: str) -> None:
    with pytest.raises(UnknownPicture):
        pictures.find(name)
    with pytest.raises(UnknownPicture):
        pictures.remove(name)


def test_links_are_not_followed(pictures: Pictures, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(CONTENT)
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / f"{'0' * 32}.png").symlink_to(secret)
    (tmp_path / "outputs" / "link.png").symlink_to(secret)
    with pytest.raises(UnknownPicture):
        pictures.find("0" * 32)
    with pytest.raises(UnknownPicture):
        pictures.add_output("link.png", "mask")


def test_a_picture_changed_on_the_disk_is_not_taken_for_itself(pictures: Pictures, tmp_path: Path) -> None:
    use = pictures.add(CONTENT, "file").use
    (tmp_path / "uploads" / use.file).write_bytes(saved(plain(5, 5)))
    with pytest.raises(InvalidRequest, match="changed"):
        pictures.find(use.id)


def test_too_many_bytes_are_refused(pictures: Pictures) -> None:
    with pytest.raises(BodyTooLarge, match="1,000") as caught:
        pictures.add(CONTENT + b"\0" * 1000, "mask")
    assert caught.value.field == "mask"


def test_an_output_becomes_a_picture(pictures: Pictures, tmp_path: Path) -> None:
    (tmp_path / "outputs" / "made.png").write_bytes(CONTENT)
    upload = pictures.add_output("made.png", "init_image")
    (tmp_path / "outputs" / "made.png").unlink()
    assert pictures.find(upload.use.id) == upload


def test_a_full_disk_leaves_nothing(
    pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(whole_files.os, "fsync", full)
    with pytest.raises(StorageFull):
        pictures.add(CONTENT, "file")
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_write_that_fails_otherwise_leaves_nothing_either(tmp_path: Path) -> None:
    def fail(_file: IO[bytes]) -> None:
        raise OSError(errno.EIO, "broken")

    with pytest.raises(OSError, match="broken"):
        whole_files.write_whole(tmp_path / "a.png", fail)
    assert list(tmp_path.iterdir()) == []


def test_only_what_nobody_used_for_long_is_old(pictures: Pictures, tmp_path: Path) -> None:
    old, used, fresh = (pictures.add(saved(plain(side, 4)), "file").use for side in (1, 2, 3))
    (tmp_path / "uploads" / "notes.txt").write_text("mine")
    for use in (old, used):
        os.utime(tmp_path / "uploads" / use.file, (time.time() - 3 * DAY,) * 2)
    pictures.find(used.id)
    assert pictures.older_than(2) == [old.id]
    pictures.remove_all(pictures.older_than(2))
    left = {file.name for file in (tmp_path / "uploads").iterdir()}
    assert left == {used.file, fresh.file, "notes.txt"}


def test_a_job_that_holds_the_path_of_a_picture_still_finds_it(pictures: Pictures, tmp_path: Path) -> None:
    """As jobs did that an earlier release has queued."""
    use = pictures.add(CONTENT, "file").use
    assert pictures.content(PictureUse(str(tmp_path / "uploads" / use.file), use.sha256)) == CONTENT
