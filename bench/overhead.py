"""What Écurie adds to plain diffusers, on the demo model: `python bench/overhead.py`.

Both draw the same picture in turn, in one process with all threads; a ratio of 1.00 means no overhead. The
demo model's steps are a hundred times shorter than full SDXL's: the worst case for anything added to a step.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.catalog.sources import DEMO_MODELS
from ecurie.engine.devices import choose_compute
from ecurie.engine.engine import Engine
from ecurie.engine.residency import Budgets
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.requests.body import GenerateBody
from ecurie.requests.resolve import resolve

PAIRS, STEPS = 15, 30


def main() -> None:
    from diffusers import StableDiffusionXLPipeline

    compute = choose_compute("auto")
    engine = Engine(compute, Budgets(10**12, 10**12, models=1))
    catalog = Catalog(BUILTIN["demo"], Path("nowhere"))
    body = GenerateBody(prompt="red apple", negative_prompt="", steps=STEPS, seed=7)
    request = resolve(body, catalog, 10**9)
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        DEMO_MODELS / "sdxl-base", torch_dtype=compute.dtype, add_watermarker=False
    ).to(compute.device)
    pipeline.set_progress_bar_config(disable=True)

    with tempfile.TemporaryDirectory() as folder:
        outputs = OutputFolder(LocalFolder(Path(folder)), "bench", datetime.now(UTC))

        def ours() -> None:
            engine.run(request, outputs, lambda _progress: None)

        def plain() -> None:
            image = pipeline(
                prompt="red apple",
                num_inference_steps=STEPS,
                guidance_scale=7.5,
                height=64,
                width=64,
                generator=torch.Generator("cpu").manual_seed(7),
            ).images[0]
            image.save(Path(folder) / "plain.png")

        for run in (ours, plain):
            run()
        pairs = [(seconds(ours), seconds(plain)) for _ in range(PAIRS)]
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    ratio = statistics.median(mine / theirs for mine, theirs in pairs)
    print(f"device {compute.device.type}, {torch.get_num_threads()} threads, {PAIRS} pairs, {STEPS} steps")
    print(f"Écurie {medians[0]:.3f} s, diffusers {medians[1]:.3f} s, median ratio {ratio:.2f}")


def seconds(run: object) -> float:
    began = time.perf_counter()
    run()  # type: ignore[operator]
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
