"""Debian as it is before anything is installed, in a folder: for rehearsals of set-up and containers.

Needs root and debootstrap.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

MIRROR = "http://deb.debian.org/debian"
SUITE = "bookworm"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_root(folder: Path) -> Path:
    """The packages that Debian's container images have, from its mirror."""
    subprocess.run(
        ["debootstrap", "--variant=minbase", SUITE, str(folder), MIRROR],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shutil.copy("/etc/resolv.conf", folder / "etc" / "resolv.conf")
    return folder


def inside(
    root: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    user: str = "0",
    folder: str = "/",
    binds: Sequence[Path] = (),
) -> list[str]:
    """The command line that runs a command in a root, with mounts of its own that end with it.

    `binds` are read-only places of this machine: a package mirror, a proxy's certificates.
    """
    mounts = [
        "mount --bind /dev {root}/dev",
        "mount -t proc proc {root}/proc",
        "mount -t tmpfs tmpfs {root}/tmp",
    ]
    for place in binds:
        inner = root / place.relative_to("/")
        if place.is_dir():
            inner.mkdir(parents=True, exist_ok=True)
        else:
            inner.parent.mkdir(parents=True, exist_ok=True)
            inner.touch()
        mounts.append(f"mount --bind -o ro {place} {{root}}/{place.relative_to('/')}")
    script = " && ".join(mount.format(root=root) for mount in mounts)
    script += ' && exec chroot --userspec="$0" "$@"'
    shared = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    variables = [f"{name}={value}" for name, value in {"PATH": PATH, **shared, **environment}.items()]
    enter = ["env", "-i", *variables, "sh", "-c", 'cd "$0" && exec "$@"', folder, *command]
    return [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        script,
        user,
        str(root),
        *enter,
    ]


def end(process: subprocess.Popen[bytes]) -> None:
    """Of `inside`: its child is the first process of a name space, with which all others of it end."""
    for child in psutil.Process(process.pid).children():
        child.kill()
    process.wait()
