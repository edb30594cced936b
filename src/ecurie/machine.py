"""What this machine has, told without loading torch."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""Where the drivers of NVIDIA, of Windows' Linux and of AMD show themselves."""
COUNT = "import torch; print(torch.cuda.device_count())"
COUNT_SECONDS = 120.0


def free_ram() -> int:
    """Bytes that new processes could take, within this container's limit (cgroup v2) if it has one."""
    free: int = psutil.virtual_memory().available
    try:
        limit, used = ((CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        return max(0, min(free, int(limit) - int(used)))
    except (OSError, ValueError):
        return free


def host_memory() -> dict[str, int]:
    """Bytes of this machine's memory: `ram_used` by this process, mapped files that are in memory included,
    the most that were (`ram_peak`), and those that are free (`ram_free`)."""
    # Linux counts in kilobytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "ram_used": psutil.Process().memory_info().rss,
        "ram_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit,
        "ram_free": free_ram(),
    }


def usable_cores() -> int:
    """Those that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cuda_devices() -> int:
    """How many torch can use, CUDA_VISIBLE_DEVICES followed: a short process asks it, where a driver is."""
    if not (shutil.which("nvidia-smi") or any(Path(driver).exists() for driver in DRIVERS)):
        return 0
    try:
        shown = subprocess.run(
            [sys.executable, "-c", COUNT], capture_output=True, text=True, check=True, timeout=COUNT_SECONDS
        )
        return int(shown.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
