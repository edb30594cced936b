"""A file is read once for both hashes, and a large one never again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ecurie.formats import hashes
from ecurie.formats.hashes import FileHasher, Hashes, auto_v3_of, hashes_of, keep_hashes_in, sha256_of

LARGE = b"\x10" + b"\0" * 7 + b"h" * 16 + os.urandom(1_200_000)


def write(file: Path, content: bytes) -> None:
    """As written a second ago: what was written just now is not kept, the next write may look the same."""
    file.write_bytes(content)
    moment = time.time_ns() - 10**9
    os.utime(file, ns=(moment, moment))


@pytest.fixture(autouse=True)
def own_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Each test begins as a new process would; calling it makes another one."""

    def forget() -> None:
        monkeypatch.setattr(hashes, "_known", hashes._Known())

    forget()
    return forget


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []
    real = hashes._read

    def counted(file: Path, size: int) -> Hashes:
        found.append(file)
        return real(file, size)

    monkeypatch.setattr(hashes, "_read", counted)
    return found


@pytest.mark.parametrize("piece", [1, 5, 8, 20, 24, 25, 10_000])
def test_both_hashes_whatever_the_pieces(piece: int) -> None:
    content, hasher = LARGE[:3000], FileHasher()
    for begin in range(0, len(content), piece):
        hasher.update(content[begin : begin + piece])
    found = hasher.result()
    assert found.sha256 == hashlib.sha256(content).hexdigest()
    assert found.after_header == hashlib.sha256(content[24:]).hexdigest()


def test_both_hashes_cost_one_read(tmp_path: Path, reads: list[Path]) -> None:
    file = tmp_path / "a.safetensors"
    write(file, LARGE)
    assert sha256_of(file) == hashlib.sha256(LARGE).hexdigest()
    assert auto_v3_of(file) == hashlib.sha256(LARGE[24:]).hexdigest()[:12]
    assert reads == [file]


def test_a_large_file_is_read_once_by_all_processes(tmp_path: Path) -> None:
    file, database = tmp_path / "a.safetensors", tmp_path / "hashes.db"
    write(file, LARGE)
    program = (
        "import sys; from pathlib import Path; from ecurie.formats import hashes\n"
        "real, reads = hashes._read, []\n"
        "hashes._read = lambda *given: (reads.append(1), real(*given))[1]\n"
        "hashes.keep_hashes_in(Path(sys.argv[2]))\n"
        "print(hashes.sha256_of(Path(sys.argv[1])), len(reads))"
    )
    command = [sys.executable, "-c", program, str(file), str(database)]
    shown = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    digest = hashlib.sha256(LARGE).hexdigest()
    assert shown == [f"{digest} 1\n", f"{digest} 0\n"]


def test_a_changed_file_is_read_again(
    tmp_path: Path, reads: list[Path], own_memory: Callable[[], None]
) -> None:
    file = tmp_path / "a.safetensors"
    keep_hashes_in(tmp_path / "hashes.db")
    write(file, LARGE)
    hashes_of(file)
    write(file, LARGE[:-1] + b"!")
    os.utime(file, ns=(1, 1))
    own_memory()
    keep_hashes_in(tmp_path / "hashes.db")
    assert sha256_of(file) == hashlib.sha256(LARGE[:-1] + b"!").hexdigest()
    assert len(reads) == 2


def test_small_files_are_not_kept(tmp_path: Path) -> None:
    keep_hashes_in(tmp_path / "hashes.db")
    file = tmp_path / "a.json"
    file.write_bytes(b"{}" * 50)
    hashes_of(file)
    assert not (tmp_path / "hashes.db").exists()


@pytest.mark.parametrize("state", ["damaged", "no folder", "read-only"])
def test_a_store_that_cannot_be_used_costs_a_read_and_no_more(tmp_path: Path, state: str) -> None:
    file, database = tmp_path / "a.safetensors", tmp_path / "data" / "hashes.db"
    write(file, LARGE)
    if state != "no folder":
        database.parent.mkdir()
        database.write_bytes(b"this is no database" * 100)
    if state == "read-only":
        database.unlink()
        database.mkdir()
    keep_hashes_in(database)
    assert sha256_of(file) == hashlib.sha256(LARGE).hexdigest()


def test_threads_that_ask_at_once_share_one_read(tmp_path: Path, reads: list[Path]) -> None:
    file = tmp_path / "a.safetensors"
    write(file, LARGE)
    threads = [threading.Thread(target=hashes_of, args=(file,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == [file]


def test_a_very_large_file_is_announced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(hashes, "ANNOUNCED_FROM_BYTES", 1_000_000)
    file = tmp_path / "a.safetensors"
    write(file, LARGE)
    with caplog.at_level("INFO"):
        hashes_of(file)
    assert [record.message.split()[0] for record in caplog.records] == ["hashing", "hashed"]


def test_what_is_kept_is_by_path_time_and_size(tmp_path: Path) -> None:
    keep_hashes_in(tmp_path / "hashes.db")
    file = tmp_path / "a.safetensors"
    write(file, LARGE)
    found = hashes_of(file)
    connection = sqlite3.connect(tmp_path / "hashes.db")
    rows = connection.execute("SELECT * FROM hashes").fetchall()
    connection.close()
    status = file.stat()
    assert rows == [(str(file), status.st_mtime_ns, status.st_size, found.sha256, found.after_header)]


def test_two_writes_within_a_tick_of_the_clock_are_told_apart(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    moment = time.time_ns()
    found = set()
    for content in (b"one", b"two"):
        file.write_bytes(content)
        os.utime(file, ns=(moment, moment))
        found.add(hashes_of(file).sha256)
    assert len(found) == 2
