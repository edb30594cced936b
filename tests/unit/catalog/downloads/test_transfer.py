"""A file comes whole or not at all, whatever its server does."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
import time
from typing import NamedTuple

import pytest

from ecurie.errors import DownloadFailed, JobCancelled, StorageFull, WeightsInvalid
from ecurie.formats import hashes
from tests.unit.catalog.downloads.conftest import CONTENT, Desk


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_file_arrives_verified_and_is_told_from_nothing_to_its_size(desk: Desk) -> None:
    desk.fetch()
    assert desk.place.read_bytes() == CONTENT
    assert not desk.partial.exists()
    assert (desk.told[0], desk.told[-1]) == ((0, None), (len(CONTENT), len(CONTENT)))


def test_a_file_that_is_here_is_not_asked_for(desk: Desk) -> None:
    desk.fetch()
    desk.web.asked.clear()
    desk.fetch()
    assert desk.web.asked == []


def test_what_was_downloaded_needs_no_second_read_for_its_hashes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.fetch()
    monkeypatch.setattr(hashes, "_read", None)
    assert hashes.sha256_of(desk.place) == hashlib.sha256(CONTENT).hexdigest()


def test_a_cut_connection_is_resumed_where_it_broke_off(desk: Desk) -> None:
    desk.web.faults.extend(["cut", "cut"])
    desk.fetch()
    assert desk.place.read_bytes() == CONTENT
    begun = [asked.range for asked in desk.web.asked]
    assert begun == [None, f"bytes={len(CONTENT) // 2}-", f"bytes={len(CONTENT) * 3 // 4}-"]


def test_a_partial_file_of_an_earlier_process_is_resumed(desk: Desk) -> None:
    desk.partial.parent.mkdir(parents=True)
    desk.partial.write_bytes(CONTENT[:1000])
    desk.fetch()
    assert [asked.range for asked in desk.web.asked] == ["bytes=1000-"]
    assert desk.place.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"x" * 1000, CONTENT[:-2] + b"x"])
def test_a_partial_file_of_something_else_never_becomes_a_model(desk: Desk, left: bytes) -> None:
    desk.partial.parent.mkdir(parents=True)
    desk.partial.write_bytes(left)
    with pytest.raises(DownloadFailed, match="SHA-256"):
        desk.fetch()
    assert list(desk.place.parent.iterdir()) == []
    desk.fetch()
    assert desk.place.read_bytes() == CONTENT


def test_a_partial_file_that_is_whole_is_only_checked(desk: Desk) -> None:
    desk.partial.parent.mkdir(parents=True)
    desk.partial.write_bytes(CONTENT)
    desk.fetch()
    assert desk.web.asked == []
    assert desk.place.read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_is_begun_again(desk: Desk) -> None:
    desk.partial.parent.mkdir(parents=True)
    desk.partial.write_bytes(CONTENT + b"too long")
    desk.fetch()
    assert desk.place.read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["no-range", "elsewhere", "416"])
def test_a_server_that_cannot_go_on_is_asked_from_the_start(desk: Desk, fault: str) -> None:
    desk.web.faults.extend(["cut", fault])
    desk.fetch()
    assert desk.place.read_bytes() == CONTENT


@pytest.mark.parametrize(("fault", "wait"), [("429 0", 0.0), ("503", 0.0), ("429 1", 1.0), ("500", 0.0)])
def test_a_busy_server_is_asked_again_when_it_says(desk: Desk, fault: str, wait: float) -> None:
    desk.web.faults.append(fault)
    began = time.monotonic()
    desk.fetch()
    assert desk.place.read_bytes() == CONTENT
    assert time.monotonic() - began >= wait


def test_a_server_that_asks_for_an_hour_is_not_waited_for(desk: Desk) -> None:
    desk.web.faults.append("429 3600")
    with pytest.raises(DownloadFailed, match="slow down") as caught:
        desk.fetch()
    assert caught.value.remedy == "run it again later: it resumes"


def test_patience_ends(desk: Desk) -> None:
    desk.web.faults.extend(["503"] * 5)
    with pytest.raises(DownloadFailed, match="answers 503"):
        desk.fetch()
    assert len(desk.web.asked) == 5


@pytest.mark.parametrize(
    ("fault", "reason"),
    [("401", "wants a sign-in"), ("403", "refuses"), ("404", "does not have it"), ("html", "web page")],
)
def test_a_refusal_is_final_and_explained(desk: Desk, fault: str, reason: str) -> None:
    desk.web.faults.append(fault)
    with pytest.raises(DownloadFailed, match=reason):
        desk.fetch()
    assert len(desk.web.asked) == 1
    assert not desk.place.exists()


@pytest.mark.parametrize("fault", ["long", "short"])
def test_another_length_or_content_is_refused_and_deleted(desk: Desk, fault: str) -> None:
    desk.web.faults.append(fault)
    with pytest.raises(DownloadFailed, match="SHA-256"):
        desk.fetch()
    assert list(desk.place.parent.iterdir()) == []


def test_what_is_no_safetensors_file_is_refused_even_with_the_right_hash(desk: Desk) -> None:
    pickle = b"PK\x03\x04" + b"\0" * 1000
    desk.web.files["/style.safetensors"] = pickle
    desk.source = type(desk.source)(desk.source.url, hashlib.sha256(pickle).hexdigest())
    with pytest.raises(WeightsInvalid, match="zip archive") as caught:
        desk.fetch()
    assert "partial" not in str(caught.value)
    assert list(desk.place.parent.iterdir()) == []


def test_a_download_is_stopped_in_the_middle_of_a_slow_file(desk: Desk) -> None:
    desk.web.faults.append("slow")

    def stop(done: int, _total: int | None) -> None:
        if done:
            raise JobCancelled("enough")

    began = time.monotonic()
    with pytest.raises(JobCancelled):
        desk.downloader.fetch([desk.source], stop)
    assert time.monotonic() - began < 2
    assert 0 < desk.partial.stat().st_size < len(CONTENT)


def test_a_download_is_stopped_while_it_waits_to_try_again(desk: Desk) -> None:
    desk.web.faults.append("429 60")
    asked = []

    def stop(done: int, _total: int | None) -> None:
        asked.append(done)
        if len(asked) > 3:
            raise JobCancelled("enough")

    with pytest.raises(JobCancelled):
        desk.downloader.fetch([desk.source], stop)


def test_two_at_once_download_a_file_once(desk: Desk) -> None:
    desk.web.chunk_seconds = 0.02
    threads = [threading.Thread(target=desk.fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert desk.place.read_bytes() == CONTENT
    assert len(desk.web.asked) == 1


def test_a_disk_without_room_is_said_before_a_byte_is_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(10**12, 10**12, 10**8))
    with pytest.raises(StorageFull, match=r"needs 0\.0 GB more; .* has 0\.1 GB free"):
        desk.fetch()
    assert not desk.partial.exists() or desk.partial.stat().st_size == 0


def test_a_disk_that_fills_up_meanwhile_keeps_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="the disk is full"):
        desk.fetch()
    assert list(desk.place.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(desk: Desk) -> None:
    desk.models.mkdir()
    (desk.models / "web").write_text("a file where the folder should be")
    with pytest.raises(DownloadFailed, match=r"cannot be written to .*web"):
        desk.fetch()
