"""What it costs to show how far jobs are, and the README's strip: `python -m bench.progress`.

Writes docs/pictures/previews.png and prints Markdown. The VAE of full size has random weights.
"""

from __future__ import annotations

import dataclasses
import io
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler
from PIL import Image

from bench.full_size import CONFIGS
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import ImageFile, JobResult, Preview, Progress, Setup, Timings
from ecurie.engine import previews
from ecurie.engine.devices import choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.linear_preview import LinearMap, fit_linear_map
from ecurie.engine.previews import Previews, Sketcher
from ecurie.engine.residency import Budgets
from ecurie.images.files import OutputFolder
from ecurie.images.grid import Tile, draw_grid
from ecurie.images.storage import LocalFolder
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore, New
from ecurie.requests.body import GenerateBody
from ecurie.requests.resolve import resolve

PROMPTS = {"red apple": "dpmpp-2m-karras", "cat face": "euler-a", "rocket": "ddim"}
SHOWN_STEPS = (1, 2, 4, 8, 15, 30)
STRIP = Path("docs/pictures/previews.png")
RESULT = JobResult((ImageFile("a.png", 7, 64, 64),), Setup("cpu", "float32", "x", {}), Timings(denoise=1.5))


def request(**fields: Any) -> Any:
    return resolve(
        GenerateBody(**{"prompt": "x", "seed": 7} | fields), Catalog(BUILTIN["demo"], Path()), 10**9
    )


def strip(folder: Path) -> Image.Image:
    """Previews by step, and the pictures that came of it."""
    engine = Engine(choose_compute("cpu"), Budgets(10**12, 0), previews=Previews())
    rows = []
    for prompt, scheduler in PROMPTS.items():
        seen: list[Progress] = []
        outputs = OutputFolder(LocalFolder(folder), "bench", datetime.now(UTC), f"{prompt}.png")
        asked = request(prompt=prompt, scheduler=scheduler)
        (image,) = engine.run(asked, outputs, seen.append).images
        shown = {one.preview.step: one.preview.image for one in seen if one.preview}
        contents = [shown[step] for step in SHOWN_STEPS] + [(folder / image.filename).read_bytes()]
        rows.append([Tile(Image.open(io.BytesIO(content))) for content in contents])
    columns = [*(f"step {step}" for step in SHOWN_STEPS), "the picture"]
    return draw_grid(rows, columns, list(PROMPTS), "What the previews of 30 steps show")


def milliseconds(work: Callable[[int], object], times: int = 50) -> float:
    """The median."""
    taken = []
    for number in range(times):
        began = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e3


def sketch(side: int) -> float:
    """One preview of an image with this side."""
    scheduler, shape = EulerDiscreteScheduler(), (side // 8, side // 8)
    latents = torch.nn.functional.interpolate(torch.randn(1, 4, 8, 8), shape, mode="bicubic")
    tensors = {"noise_pred": torch.zeros_like(latents), "latent_model_input": latents}
    sketcher = Sketcher(LinearMap(torch.randn(5, 3).numpy()).picture)
    return milliseconds(lambda number: sketcher.sketch(scheduler, 1.0, tensors, number, side))


def full_vae() -> AutoencoderKL:
    return AutoencoderKL.from_config(json.loads((CONFIGS / "vae" / "config.json").read_text())).eval()


def write(store: JobStore, image: bytes | None) -> float:
    """One report of a running job."""
    store.add(request(), priority=0, stack="", max_queue=10)
    claim = store.claims.take("worker", Held(), lease_seconds=60, max_overtake=60)
    assert claim is not None
    return milliseconds(
        lambda step: store.claims.report(
            claim, Progress("denoising", step + 1, 99, preview=image and Preview(step + 1, image))
        ),
        99,
    )


def look(store: JobStore, queued: int) -> float:
    """All estimates of a queue of this length, for four models and 20 stacks."""
    asked = [dataclasses.replace(request(), model=f"model-{number}") for number in range(4)]
    new = [New(asked[number % 4], f"stack {number % 20}") for number in range(queued)]
    for first in range(0, queued, 500):
        store.add_all(new[first : first + 500], priority=0, max_queue=10**6)
    for _ in range(60):
        claim = store.claims.take("worker", Held(), lease_seconds=60, max_overtake=60)
        assert claim is not None
        store.claims.succeed(claim, RESULT)
    forecasts = Forecasts(store.database, lambda: ["worker"], 60)
    return milliseconds(lambda _number: forecasts._look(), 10)


def with_store(folder: Path, measure: Callable[[JobStore], float]) -> float:
    store = JobStore(f"sqlite:///{Path(tempfile.mkdtemp(dir=folder)) / 'jobs.db'}")
    try:
        return measure(store)
    finally:
        store.close()


def main() -> None:
    previews.SECONDS_BETWEEN = 0.0
    vae = full_vae()
    with tempfile.TemporaryDirectory(dir=".") as scratch:
        folder = Path(scratch)
        strip(folder).quantize(256).save(STRIP, optimize=True)
        lines = {f"a preview of {side}×{side} pixels": sketch(side) for side in (64, 1024, 2048)}
        lines["its map, once for a model of full size"] = milliseconds(lambda _number: fit_linear_map(vae), 3)
        lines["a report of progress to SQLite"] = with_store(folder, lambda store: write(store, None))
        lines["the same with a preview of 4 kB"] = with_store(folder, lambda store: write(store, b"x" * 4000))
        for queued in (1000, 10_000):
            lines[f"all estimates, {queued:,} jobs queued"] = with_store(
                folder, lambda store, queued=queued: look(store, queued)
            )
    print("| what | median |\n|---|---|")
    for what, taken in lines.items():
        print(f"| {what} | {taken:,.1f} ms |")


if __name__ == "__main__":
    main()
