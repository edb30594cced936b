"""What the opt-in speed-ups give and cost: `python -m bench.speedups FOLDER`.

FOLDER gets a random checkpoint of full SDXL size, as for `bench.switching`. On it the seconds of denoising at
512×512 are measured (its pictures mean nothing); on the demo, how far the pictures are from the plain ones.
Prints Markdown.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.full_size import make_checkpoint
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.engine.devices import choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.residency import Budgets
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.requests.body import GenerateBody
from ecurie.requests.resolve import resolve_for_cli

KINDS = ("none", "attention-cache", "guidance-cutoff")
FULL_STEPS, DEMO_STEPS, SIDE = 6, 30, 512
PROMPTS = ("red apple", "rocket", "cat face", "octopus", "pizza", "house with garden")


def draw(engine: Engine, folder: Path, **fields: Any) -> tuple[float, np.ndarray[Any, Any]]:
    """Seconds of denoising, and the picture."""
    request = resolve_for_cli(GenerateBody(seed=7, **fields), Catalog(BUILTIN["demo"], folder), 10**9)
    outputs = OutputFolder(LocalFolder(folder), "bench", datetime.now(UTC), "picture.png")
    result = engine.run(request, outputs, lambda _progress: None)
    with Image.open(folder / result.images[0].filename) as picture:
        return result.timings.denoise, np.asarray(picture.convert("RGB")).astype(int)


def table(checkpoint: Path, folder: Path) -> str:
    engine = Engine(choose_compute("cpu"), Budgets(10**12, 0, models=1))
    full = {"model": str(checkpoint), "prompt": "red apple", "width": SIDE, "height": SIDE}
    seconds = {kind: draw(engine, folder, steps=FULL_STEPS, accelerate=kind, **full)[0] for kind in KINDS}
    plain = [draw(engine, folder, steps=DEMO_STEPS, prompt=prompt)[1] for prompt in PROMPTS]
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, float32. "
        f"Full size: {SIDE}×{SIDE}, {FULL_STEPS} steps; "
        f"demo: {len(PROMPTS)} pictures of 64×64, {DEMO_STEPS} steps.",
        "",
        "| accelerate | denoising at full size | times faster | demo: mean difference of 255 | greatest |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS:
        pictures = [draw(engine, folder, steps=DEMO_STEPS, prompt=p, accelerate=kind)[1] for p in PROMPTS]
        far = np.abs(np.stack(pictures) - np.stack(plain))
        lines.append(
            f"| `{kind}` | {seconds[kind]:.1f} s | {seconds['none'] / seconds[kind]:.2f} | {far.mean():.1f} "
            f"| {far.max()} |"
        )
    return "\n".join(lines)


def main() -> None:
    folder = Path(sys.argv[1])
    checkpoint = make_checkpoint(folder / "sdxl-random")
    with tempfile.TemporaryDirectory() as scratch:
        print(table(checkpoint, Path(scratch)))


if __name__ == "__main__":
    main()
