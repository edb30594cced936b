"""Files that are whole or not there at all, whatever happens while they are written."""

from __future__ import annotations

import errno
import glob
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from ecurie.errors import StorageFull

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PARTIAL_SUFFIX = ".partial"


def write_whole(target: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write to a temporary name, flush to the disk, rename. Raises StorageFull."""
    writer = f"{os.getpid()}-{threading.get_ident()}"
    partial = target.with_name(f".{target.name}.{writer}{PARTIAL_SUFFIX}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        if error.errno in NO_ROOM:
            raise StorageFull(
                f"no room to write {target}", remedy="free some space, then send the request again"
            ) from error
        raise


def remove_whole_or_partial(target: Path) -> None:
    """The file, and what killed processes left of it half written."""
    target.unlink(missing_ok=True)
    for file in target.parent.glob(f".{glob.escape(target.name)}.*{PARTIAL_SUFFIX}"):
        file.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Files that a killed process left half written."""
    for file in folder.glob(f".*{PARTIAL_SUFFIX}"):
        file.unlink(missing_ok=True)
