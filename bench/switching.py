"""Opening and switching checkpoints of full SDXL size beside diffusers: `python -m bench.switching FOLDER`.

FOLDER gets a random diffusers folder and the same as one file in the community layout, 7 GB each, once.
Every opening has a process of its own and a warm page cache, twice, in turn; the table has the better time.
Prints Markdown.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.full_size import make_checkpoint
from bench.sides import anonymous_gigabytes, best, floors, in_own_process, seconds, warm

MODULE = "bench.switching"
ROUNDS, SWITCHES = 2, 50


def make_single_file(folder: Path, file: Path) -> Path:
    if not file.exists():
        from safetensors.torch import save_file

        from demo.single_file import read_folder_tensors, to_single_file
        from ecurie.formats.parts import COMPONENTS

        save_file(to_single_file(read_folder_tensors(folder, list(COMPONENTS))), file)
    return file


def first_forward(unet: Any) -> None:
    """One step on 8×8 latents: touches every weight, computes little."""
    import torch

    dtype = next(unet.parameters()).dtype
    condition = {"text_embeds": torch.zeros(1, 1280, dtype=dtype), "time_ids": torch.zeros(1, 6, dtype=dtype)}
    with torch.no_grad():
        unet(
            torch.zeros(1, 4, 8, 8, dtype=dtype),
            1,
            torch.zeros(1, 77, 2048, dtype=dtype),
            added_cond_kwargs=condition,
        )


def open_ours(path: Path, dtype: Any) -> Any:
    import torch

    from ecurie.engine.devices import Compute
    from ecurie.engine.loader import load_model
    from ecurie.formats.checkpoint import ModelFiles, read_checkpoint

    return load_model(read_checkpoint(ModelFiles(path)), Compute(torch.device("cpu"), dtype))


def open_theirs(path: Path, dtype: Any) -> Any:
    from diffusers import StableDiffusionXLPipeline

    if path.is_dir():
        return StableDiffusionXLPipeline.from_pretrained(path, torch_dtype=dtype, add_watermarker=False)
    return StableDiffusionXLPipeline.from_single_file(
        path,
        config=str(path.with_suffix("")),
        torch_dtype=dtype,
        local_files_only=True,
        add_watermarker=False,
    )


OPENERS: dict[str, Callable[[Path, Any], Any]] = {"ours": open_ours, "diffusers": open_theirs}


def opening(side: str, path: Path, dtype_name: str) -> dict[str, float]:
    """Imports are not counted: both need the same."""
    import diffusers  # noqa: F401
    import torch
    import transformers  # noqa: F401

    import ecurie.engine.loader  # noqa: F401

    warm(path)
    began = time.perf_counter()
    model = OPENERS[side](path, getattr(torch, dtype_name))
    result = {"open": time.perf_counter() - began}
    if dtype_name == "float32":
        first_forward(model.unet)
        result["first forward"] = time.perf_counter() - began
    return result


def residency(folder: Path, file: Path) -> dict[str, float]:
    """Three models in memory, mapped in fp16: how long a switch takes, and what 50 of them leave."""
    import torch

    from ecurie.engine.devices import Compute
    from ecurie.engine.memory import Step
    from ecurie.engine.residency import Budgets, Residency
    from ecurie.formats.checkpoint import ModelFiles, read_checkpoint

    resident = Residency(Compute(torch.device("cpu"), torch.float16), Budgets(20 << 30, 0))
    files = [ModelFiles(folder), ModelFiles(file), ModelFiles(file, vae=folder)]

    def activate(one: ModelFiles) -> None:
        with resident.use("bench", read_checkpoint(one), Step.ALL_RESIDENT):
            pass

    for one in files:
        activate(one)
    before, times = anonymous_gigabytes(), []
    for switch in range(SWITCHES):
        times.append(seconds(lambda switch=switch: activate(files[switch % 3])))
    return {"switch": max(times), "before": before, "after": anonymous_gigabytes()}


def exchange(side: str, folder: Path) -> dict[str, float]:
    """One model after the other in float32, with room for one: seconds of a switch after the first load.

    Both models are the same files by another name, as 24 GB do not hold the pages of two beside 14 GB of
    weights.
    """
    import gc

    import torch

    warm(folder)
    times = []
    if side == "ours":
        from ecurie.engine.devices import Compute
        from ecurie.engine.memory import Step
        from ecurie.engine.residency import Budgets, Residency
        from ecurie.formats.checkpoint import ModelFiles, read_checkpoint

        resident = Residency(Compute(torch.device("cpu"), torch.float32), Budgets(20 << 30, 0, models=1))
        for files in (ModelFiles(folder), ModelFiles(folder, vae=folder), ModelFiles(folder)):
            began = time.perf_counter()
            with resident.use("bench", read_checkpoint(files), Step.ALL_RESIDENT):
                times.append(time.perf_counter() - began)
    else:
        model = None
        for _ in range(3):
            began = time.perf_counter()
            del model
            gc.collect()
            model = open_theirs(folder, torch.float32)
            times.append(time.perf_counter() - began)
    return {"switch": min(times[1:]), "memory": anonymous_gigabytes()}


def table(folder: Path, file: Path) -> str:
    cases = [(path, dtype) for dtype in ("float32", "float16") for path in (folder, file)]
    found = {}
    for path, dtype in cases:
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "diffusers": []}
        for _ in range(ROUNDS):
            for side, results in runs.items():
                results.append(in_own_process(MODULE, "open", side, str(path), dtype))
        found[path, dtype] = {side: best(results) for side, results in runs.items()}
    switches = in_own_process(MODULE, "residency", str(folder), str(file))
    mine, theirs = (in_own_process(MODULE, "exchange", side, str(folder)) for side in OPENERS)
    machine = in_own_process(MODULE, "floors")
    bytes_converted = 3.47e9 * 6
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, fp16 files; "
        f"convert {machine['convert'] / 1e9:.1f} GB/s; {ROUNDS} rounds.",
        "",
        "| what | Écurie | floor | diffusers | ratio |",
        "|---|---|---|---|---|",
    ]
    for (path, dtype), sides in found.items():
        kind = "folder" if path.is_dir() else "single file"
        for name, label in (("open", "open"), ("first forward", "open, to the first forward")):
            if name in sides["ours"]:
                ours, other = sides["ours"][name], sides["diffusers"][name]
                converted = dtype == "float32" and name == "open"
                floor = f"{bytes_converted / machine['convert']:.2f} s" if converted else ""
                how = "to float32" if dtype == "float32" else "mapped, fp16"
                lines.append(
                    f"| {label}: {kind}, {how} | {ours:.2f} s | {floor} | {other:.2f} s "
                    f"| {other / ours:.1f} |"
                )
    lines.append(
        f"| switch between three resident models, slowest of {SWITCHES} | "
        f"{switches['switch'] * 1e3:.1f} ms | | | |"
    )
    lines.append(
        f"| memory before and after these switches | {switches['before']:.2f}, "
        f"{switches['after']:.2f} GB | | | |"
    )
    lines.append(
        f"| switch to another model in float32 with room for one | {mine['switch']:.2f} s | "
        f"{bytes_converted / machine['convert']:.2f} s | {theirs['switch']:.2f} s | "
        f"{theirs['switch'] / mine['switch']:.1f} |"
    )
    return "\n".join(lines)


def main() -> None:
    match sys.argv[1:]:
        case ["open", side, path, dtype]:
            print(json.dumps(opening(side, Path(path), dtype)))
        case ["residency", folder, file]:
            print(json.dumps(residency(Path(folder), Path(file))))
        case ["exchange", side, folder]:
            print(json.dumps(exchange(side, Path(folder))))
        case ["floors"]:
            print(json.dumps(floors()))
        case [place]:
            folder = make_checkpoint(Path(place) / "sdxl-random")
            print(table(folder, make_single_file(folder, folder.with_name("sdxl-random.safetensors"))))


if __name__ == "__main__":
    main()
