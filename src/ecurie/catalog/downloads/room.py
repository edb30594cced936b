"""Whether the disk has room for what is to be downloaded."""

from __future__ import annotations

import shutil
from pathlib import Path

from ecurie.errors import StorageFull

SPARE_BYTES = 200_000_000
"""Left free on the disk: the job table needs room too."""


def check_room(name: str, folder: Path, size: int) -> None:
    """Raises StorageFull when `size` bytes more would fill the disk."""
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    if size and size + SPARE_BYTES > free:
        raise StorageFull(
            f"{name} needs {size / 1e9:.1f} GB more; {folder} has {free / 1e9:.1f} GB free",
            remedy="free some disk space, or keep the data folder on another disk",
        )
