"""Full SDXL on a CUDA device, beside diffusers: `python -m bench.gpu FOLDER`.

FOLDER gets a random checkpoint and three LoRAs, 8 GB, once (drawn on the device). Each part has a process of
its own and a warm page cache. Random weights draw nothing: `tests/gpu` compares pictures, of the demo models.
Prints Markdown.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from bench.full_size import make_checkpoint, make_lora
from bench.sides import in_own_process, warm

MODULE = "bench.gpu"
CUDA = torch.device("cuda")
SIDE, STEPS, ROUNDS = 1024, 30, 3
WEIGHTS = {1: [0.8], 3: [0.6, 0.8, 0.7]}


def timed(act: Callable[[], Any]) -> float:
    torch.cuda.synchronize()
    began = time.perf_counter()
    act()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def bus() -> dict[str, float]:
    """Bytes a second to the device: from ordinary and page-locked memory, and by our `upload`."""
    from ecurie.adapters.upload import upload

    plain = torch.ones(1 << 30, dtype=torch.uint8)
    locked, target = plain.pin_memory(), torch.empty(1 << 30, dtype=torch.uint8, device=CUDA)
    rates = {}
    for name, source in (("ordinary", plain), ("locked", locked)):
        target.copy_(source)
        rates[name] = source.nbytes / min(timed(lambda source=source: target.copy_(source)) for _ in range(5))
    rates["ours"] = plain.nbytes / min(timed(lambda: upload([(target, plain)], CUDA)) for _ in range(5))
    return rates


def switching(folder: Path) -> dict[str, float]:
    """Room for one model on the device, its files in the page cache: seconds of a switch to another."""
    from ecurie.engine.devices import Compute
    from ecurie.engine.memory import Step
    from ecurie.engine.residency import Budgets, Residency
    from ecurie.formats.checkpoint import ModelFiles, read_checkpoint

    residency = Residency(Compute(CUDA, torch.float16), Budgets(100 << 30, 200 << 30, models=1))
    models = [ModelFiles(folder), ModelFiles(folder, vae=folder)]

    def take(residency: Residency, number: int) -> None:
        with residency.use("bench", read_checkpoint(models[number]), Step.ALL_RESIDENT):
            pass

    times = [timed(lambda turn=turn: take(residency, turn % 2)) for turn in range(2 * ROUNDS + 1)]
    with residency.use("bench", read_checkpoint(models[0]), Step.ALL_RESIDENT) as resident:
        assert not resident.model.patcher.drifted()
    both = Residency(Compute(CUDA, torch.float16), Budgets(100 << 30, 200 << 30))
    for number in range(2):
        take(both, number)
    return {
        "first": times[0],
        "switch": min(times[1:]),
        "slowest": max(times[1:]),
        "resident": timed(lambda: take(both, 0)),
    }


def their_switching(folder: Path) -> dict[str, float]:
    from diffusers import StableDiffusionXLPipeline

    def load() -> Any:
        return StableDiffusionXLPipeline.from_pretrained(
            folder, torch_dtype=torch.float16, add_watermarker=False
        ).to(CUDA)

    times = [timed(load) for _ in range(ROUNDS)]
    return {"first": times[0], "switch": min(times[1:])}


def adapters(folder: Path) -> dict[str, float]:
    from ecurie.adapters.patcher import Applied
    from ecurie.adapters.reader import load_adapter
    from ecurie.engine.devices import Compute
    from ecurie.engine.loader import load_model
    from ecurie.formats.adapter_file import read_adapter
    from ecurie.formats.checkpoint import ModelFiles, read_checkpoint

    files = read_checkpoint(ModelFiles(folder))
    patcher = load_model(files, Compute(CUDA, torch.float16)).patcher
    loras = loras_of(folder)

    def patch(count: int) -> None:
        stack = [load_adapter(read_adapter(file, files.inventory), file.name) for file in loras[:count]]
        parts = ("unet", "text_encoder", "text_encoder_2")
        patcher.apply(
            [
                Applied(one, dict.fromkeys(parts, weight))
                for one, weight in zip(stack, WEIGHTS[count], strict=True)
            ]
        )

    result: dict[str, float] = {}
    for _ in range(2):
        for count in (1, 3):
            result[f"patch {count}"] = timed(lambda count=count: patch(count))
            result[f"none {count}"] = timed(lambda: patcher.apply([]))
    assert not patcher.drifted()
    return result


def their_adapters(folder: Path) -> dict[str, float]:
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(
        folder, torch_dtype=torch.float16, add_watermarker=False
    ).to(CUDA)
    result: dict[str, float] = {}

    def patch(count: int) -> None:
        names = [f"a{number}" for number in range(count)]
        for name, file in zip(names, loras_of(folder), strict=False):
            pipeline.load_lora_weights(file.parent, weight_name=file.name, adapter_name=name)
        pipeline.set_adapters(names, WEIGHTS[count])
        pipeline.fuse_lora(adapter_names=names)

    for _ in range(2):
        for count in (1, 3):
            result[f"patch {count}"] = timed(lambda count=count: patch(count))
            result[f"none {count}"] = timed(lambda: (pipeline.unfuse_lora(), pipeline.unload_lora_weights()))
    return result


def pictures(folder: Path) -> dict[str, float]:
    """Seconds of an image, and of its parts."""
    from ecurie.engine.devices import choose_compute
    from ecurie.engine.engine import Engine
    from ecurie.engine.residency import Budgets

    engine = Engine(choose_compute("cuda"), Budgets(100 << 30, 200 << 30))
    found = []
    for seed in range(ROUNDS):
        began = time.perf_counter()
        result = draw(engine, folder, seed=seed, steps=STEPS)
        found.append((time.perf_counter() - began, result.timings))
    whole, timings = min(found[1:], key=lambda one: one[0])
    return {"first": found[0][0], "whole": whole, "denoise": timings.denoise, "decode": timings.decode}


def their_pictures(folder: Path) -> dict[str, float]:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline.from_pretrained(
        folder, torch_dtype=torch.float16, add_watermarker=False
    ).to(CUDA)
    pipeline.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)

    def picture(output: str) -> None:
        pipeline(
            "red apple", width=SIDE, height=SIDE, num_inference_steps=STEPS, output_type=output,
            generator=torch.Generator("cpu").manual_seed(7),
        )  # fmt: skip

    whole = [timed(lambda: picture("pil")) for _ in range(ROUNDS)]
    latent = min(timed(lambda: picture("latent")) for _ in range(ROUNDS - 1))
    return {"first": whole[0], "whole": min(whole[1:]), "denoise": latent}


def ladder(folder: Path) -> dict[str, Any]:
    """The most bytes on the device at each step of the memory ladder: predicted, allocated, reserved; and
    the seconds of four steps."""
    from ecurie.engine.devices import choose_compute
    from ecurie.engine.engine import Engine
    from ecurie.engine.memory import Step, peak
    from ecurie.engine.need import need_of
    from ecurie.engine.residency import Budgets
    from ecurie.formats.checkpoint import ModelFiles, read_checkpoint

    compute = choose_compute("cuda")
    need = need_of(read_checkpoint(ModelFiles(folder)).parts.tensors, compute.dtype)
    rows: dict[str, Any] = {}
    for side, steps in ((1024, list(Step)), (2048, [Step.ALL_RESIDENT, Step.VAE_TILED])):
        for step in steps:
            budget = peak(step, need, side * side)
            engine = Engine(compute, Budgets(100 << 30, budget))
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            result = draw(engine, folder, steps=4, width=side, height=side)
            rows[f"{side} {step.label}"] = [
                budget, torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved(),
                time.perf_counter() - began, result.images[0].width, list(result.warnings),
            ]  # fmt: skip
            del engine
    return rows


def draw(engine: Any, folder: Path, **fields: Any) -> Any:
    from ecurie.catalog.catalog import BUILTIN, Catalog
    from ecurie.images.files import OutputFolder
    from ecurie.images.storage import LocalFolder
    from ecurie.requests.body import GenerateBody
    from ecurie.requests.resolve import resolve_for_cli

    body = {"model": str(folder), "prompt": "red apple", "scheduler": "euler", "width": SIDE, "height": SIDE}
    request = resolve_for_cli(GenerateBody(**(body | fields)), Catalog(BUILTIN["demo"], folder), 10**9)
    outputs = OutputFolder(LocalFolder(folder.parent / "pictures"), "bench", datetime.now(UTC), "picture.png")
    return engine.run(request, outputs, lambda _progress: None)


def loras_of(folder: Path) -> list[Path]:
    return [folder.parent / f"lora-{number}.safetensors" for number in range(3)]


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "switching": switching,
    "their switching": their_switching,
    "adapters": adapters,
    "their adapters": their_adapters,
    "pictures": pictures,
    "their pictures": their_pictures,
    "ladder": ladder,
}


def table(folder: Path) -> str:
    rates = in_own_process(MODULE, "bus")
    found: dict[str, dict[str, Any]] = {}
    for name in PARTS:
        warm(folder)
        try:
            found[name] = in_own_process(MODULE, name, str(folder))
        except Exception as error:  # The other parts are worth their time.
            found[name] = {}
            print(name, "failed:", getattr(error, "stderr", str(error))[-1500:], flush=True)
        print(name, json.dumps(found[name]), flush=True)
    size = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    lines = [
        f"{torch.cuda.get_device_name()}, {os.cpu_count()} cores, torch {torch.__version__}; to the device "
        f"{rates['ordinary'] / 1e9:.1f} GB/s from ordinary memory, {rates['locked'] / 1e9:.1f} from "
        f"page-locked, {rates['ours'] / 1e9:.1f} by our threads; {size / 1e9:.2f} GB in fp16.",
        "",
        "| what | Écurie | floor | diffusers | ratio |",
        "|---|---|---|---|---|",
    ]

    def line(label: str, part: str, key: str, floor: str = "", times: float = 1) -> None:
        ours, theirs = found[part].get(key), found[f"their {part}"].get(key)
        if ours is not None:
            beside = f"{theirs:.2f} s | {theirs / ours:.1f}" if theirs else " | "
            lines.append(f"| {label} | {ours * times:.3f} s | {floor} | {beside} |")

    line("first model of a process, on the device", "switching", "first")
    line("switch to another model, room for one", "switching", "switch", f"{size / rates['locked']:.2f} s")
    line("switch between two that are on the device", "switching", "resident")
    for count in (1, 3):
        line(f"from {count} LoRA files to patched weights", "adapters", f"patch {count}")
        line(f"back to none, after {count}", "adapters", f"none {count}")
    line(f"an image of {SIDE}×{SIDE}, {STEPS} steps, Euler", "pictures", "whole")
    line("of it, denoising", "pictures", "denoise")
    lines += [
        "",
        "| size, step of the ladder | predicted | allocated | reserved | four steps |",
        "|---|---|---|---|---|",
    ]
    for name, (predicted, allocated, reserved, seconds, *_rest) in found["ladder"].items():
        gigabytes = " | ".join(f"{value / 1e9:.2f} GB" for value in (predicted, allocated, reserved))
        lines.append(f"| {name} | {gigabytes} | {seconds:.1f} s |")
    return "\n".join(lines)


def main() -> None:
    match sys.argv[1:]:
        case ["bus"]:
            print(json.dumps(bus()))
        case [part, folder] if part in PARTS:
            print(json.dumps(PARTS[part](Path(folder))))
        case [place]:
            folder = make_checkpoint(Path(place) / "sdxl-random", "cuda")
            for number, file in enumerate(loras_of(folder)):
                make_lora(file, number)
            print(table(folder))
            shutil.rmtree(folder.parent / "pictures", ignore_errors=True)


if __name__ == "__main__":
    main()
