"""Both kinds of storage keep the same promises; the object store is a real server of moto's."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO

import pytest

from ecurie.errors import SettingsError, StorageUnavailable
from ecurie.images import object_store
from ecurie.images.storage import LocalFolder, Storage, open_storage
from tests.object_store import Bucket


@pytest.fixture(params=["folder", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket) -> Storage:
    if request.param == "folder":
        return open_storage((tmp_path / "files").as_uri())
    return open_storage(bucket.url, bucket.endpoint)


def put(storage: Storage, name: str, content: bytes) -> None:
    storage.write_whole(name, lambda file: file.write(content))


def test_what_is_written_is_there(storage: Storage) -> None:
    storage.prepare(alone=True)
    assert list(storage.all()) == []
    put(storage, "a.png", b"first")
    put(storage, "b.png", b"other")
    before = storage.find("a.png")
    put(storage, "a.png", b"second")
    found = storage.find("a.png")
    assert before is not None
    assert found is not None
    assert (found.name, found.bytes, storage.read("a.png")) == ("a.png", 6, b"second")
    assert abs(found.modified - time.time()) < 60
    assert found.state != before.state
    assert sorted(stored.name for stored in storage.all()) == ["a.png", "b.png"]
    with storage.open("a.png") as file:
        file.seek(3)
        assert file.read(2) == b"on"
    storage.remove("a.png")
    storage.remove("a.png")
    assert storage.find("a.png") is None
    with pytest.raises(FileNotFoundError):
        storage.read("a.png")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../a.png", "/etc/passwd", "in/a.png", ".a.png", "a\0.png", "in"]
)
def test_only_a_file_directly_inside_is_found(storage: Storage, name: str) -> None:
    put(storage, "a.png", b"mine")
    if isinstance(storage, LocalFolder):
        (storage.folder / "in").mkdir()
        (storage.folder.parent / "a.png").write_bytes(b"outside")
        (storage.folder / ".a.png").write_bytes(b"hidden")
    else:
        storage.files.pipe_file(f"{storage.url}/in/a.png", b"inside")  # type: ignore[attr-defined]
    assert storage.find(name) is None
    for get in (storage.read, storage.open):
        with pytest.raises(FileNotFoundError):
            get(name)
    assert [stored.name for stored in storage.all()] == ["a.png"]


def test_a_file_whose_writer_fails_is_not_there(storage: Storage) -> None:
    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise RuntimeError("the encoder broke")

    with pytest.raises(RuntimeError):
        storage.write_whole("a.png", fail)
    assert list(storage.all()) == []


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.png").symlink_to(tmp_path / "secret.txt")
    storage = LocalFolder(tmp_path / "files")
    assert (storage.find("a.png"), list(storage.all())) == (None, [])
    with pytest.raises(FileNotFoundError):
        storage.open("a.png")


def test_a_file_that_is_used_counts_as_new(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    put(storage, "a.png", b"used")
    if isinstance(storage, LocalFolder):
        os.utime(storage.folder / "a.png", (1000.0, 1000.0))
    else:
        # The time of the store cannot be set back, and a second is its finest.
        monkeypatch.setattr(object_store, "TOUCHED_AFTER_SECONDS", -1.0)
        time.sleep(1.1)
    before = storage.find("a.png")
    storage.touch("a.png")
    after = storage.find("a.png")
    assert before is not None
    assert after is not None
    assert after.modified > before.modified
    assert storage.read("a.png") == b"used"


def test_a_store_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    storage = open_storage(bucket.url, "http://127.0.0.1:9")
    with pytest.raises(StorageUnavailable, match=bucket.url):
        put(storage, "a.png", b"lost")


def test_a_bucket_that_is_not_there_is_named(bucket: Bucket) -> None:
    storage = open_storage("s3://no-such-bucket/images", bucket.endpoint)
    assert storage.find("a.png") is None
    with pytest.raises(StorageUnavailable, match="the bucket is not there"):
        storage.prepare(alone=True)


@pytest.mark.parametrize(
    "url", ["outputs", "/tmp/outputs", "ftp://host/a", "file://host/a", "s3://", "file:relative", ""]
)
def test_other_places_are_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="outputs_url"):
        open_storage(url)


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    storage = open_storage((tmp_path / "my images #1 é%").as_uri())
    put(storage, "a.png", b"x")
    assert (tmp_path / "my images #1 é%" / "a.png").read_bytes() == b"x"
