"""What the benches of full SDXL share: processes of their own, memory, seconds, the machine's own speed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def seconds(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def anonymous_gigabytes() -> float:
    """Memory that only this process holds: mapped files do not count."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1e6
    raise RuntimeError("this bench reads /proc/self/status, so it needs Linux")


@contextmanager
def extra_memory(result: dict[str, float], name: str) -> Iterator[None]:
    """Puts the peak above what was held before, in GB, sampled each 10 ms."""
    before, peak, ended = anonymous_gigabytes(), [0.0], threading.Event()

    def sample() -> None:
        while not ended.wait(0.01):
            peak[0] = max(peak[0], anonymous_gigabytes() - before)

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield
    finally:
        ended.set()
        sampler.join()
        result[name] = peak[0]


def warm(path: Path) -> None:
    """Bring the files into the page cache."""
    for file in path.rglob("*.safetensors") if path.is_dir() else [path]:
        with file.open("rb", buffering=0) as stream:
            while stream.read(1 << 26):
                pass


def floors() -> dict[str, float]:
    """What this machine's memory and cores give, with every core: bytes and operations a second."""
    import torch

    half, single = torch.zeros(1 << 28, dtype=torch.float16), torch.zeros(1 << 28)
    left, right = torch.randn(4096, 4096), torch.randn(4096, 4096)
    return {
        "convert": half.numel() * 6 / min(seconds(lambda: single.copy_(half)) for _ in range(3)),
        "multiply": 2 * 4096**3 / min(seconds(lambda: left @ right) for _ in range(3)),
    }


def in_own_process(module: str, *arguments: str) -> dict[str, float]:
    """The last line that `python -m module arguments…` prints, as JSON."""
    command = [sys.executable, "-m", module, *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return found


def best(results: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(result[name] for result in results) for name in results[0]}
