from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from ecurie.locks import ProcessLock, is_alive

HOLD = """
import sys
from pathlib import Path
from ecurie.locks import ProcessLock
lock = ProcessLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
sys.stdin.read()
"""


def test_a_lock_is_free_again_when_its_process_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "w.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"True\n"
        assert is_alive(file)
        assert not ProcessLock(file).acquire()
        holder.kill()
        holder.wait()
    assert not is_alive(file)


def test_a_lock_can_be_taken_again_after_release(tmp_path: Path) -> None:
    first, second = ProcessLock(tmp_path / "a"), ProcessLock(tmp_path / "a")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()
