"""Adapters at full SDXL size, ours beside diffusers + peft: `python -m bench.adapters FOLDER`.

FOLDER gets 7 GB of random checkpoint and three LoRAs of 228 MB (rank 32, 722 + 264 layers), once. Each side
runs in a process of its own (two models in float32 do not fit in 24 GB), in turn, twice; the table has each
side's better time. Wants an otherwise idle machine with 20 GB of memory. Prints Markdown.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.full_size import make_checkpoint, make_lora
from bench.sides import anonymous_gigabytes, best, extra_memory, floors, in_own_process, seconds, warm

MODULE = "bench.adapters"
ROUNDS, SWITCHES = 2, 200
WEIGHTS = {1: [0.8], 3: [0.6, 0.8, 0.7]}


def ours(checkpoint: Path, loras: list[Path], dtype_name: str) -> dict[str, float]:
    import torch

    from ecurie.adapters.patcher import Applied
    from ecurie.adapters.reader import Adapter, load_adapter
    from ecurie.engine.devices import Compute
    from ecurie.engine.loader import load_model
    from ecurie.formats.adapter_file import read_adapter
    from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
    from ecurie.formats.hashes import sha256_of

    compute = Compute(torch.device("cpu"), getattr(torch, dtype_name))
    warm(checkpoint)
    files = read_checkpoint(ModelFiles(checkpoint))
    began = time.perf_counter()
    patcher = load_model(files, compute).patcher
    result = {"load": time.perf_counter() - began}

    def read(file: Path) -> Adapter:
        return load_adapter(read_adapter(file, files.inventory), file.name)

    def use(adapters: list[Adapter], factor: float = 1.0) -> list[Applied]:
        parts = ("unet", "text_encoder", "text_encoder_2")
        weights = WEIGHTS[len(adapters)]
        return [
            Applied(adapter, dict.fromkeys(parts, weight * factor))
            for adapter, weight in zip(adapters, weights, strict=True)
        ]

    for file in loras:
        warm(file)
    result["read"] = min(seconds(lambda: read(loras[0])) for _ in range(3))
    result["sha256"] = seconds(lambda: sha256_of(loras[0]))
    for count in (1, 3):
        patcher.apply([])
        with extra_memory(result, f"memory {count}"):
            began = time.perf_counter()
            adapters = [read(file) for file in loras[:count]]
            patcher.apply(use(adapters))
            result[f"patch {count}"] = time.perf_counter() - began
        result[f"again {count}"] = seconds(lambda adapters=adapters: patcher.apply(use(adapters)))
        result[f"weights {count}"] = seconds(lambda adapters=adapters: patcher.apply(use(adapters, 0.5)))
        result[f"none {count}"] = seconds(lambda: patcher.apply([]))
    assert not patcher.drifted()
    return result


def memory_over_switches(checkpoint: Path, folder: Path) -> dict[str, float]:
    """Between small adapters and none, at full size: what 10 switches and what all of them hold, in GB."""
    import torch

    from ecurie.adapters.patcher import Applied
    from ecurie.adapters.reader import load_adapter
    from ecurie.engine.devices import Compute
    from ecurie.engine.loader import load_model
    from ecurie.formats.adapter_file import read_adapter
    from ecurie.formats.checkpoint import ModelFiles, read_checkpoint

    model = read_checkpoint(ModelFiles(checkpoint))
    patcher = load_model(model, Compute(torch.device("cpu"), torch.float32)).patcher
    files = [
        make_lora(folder / f"small-{number}.safetensors", number, rank=8, every=10) for number in range(3)
    ]
    result = {}
    for switch in range(SWITCHES):
        adapter = load_adapter(read_adapter(files[switch % 3], model.inventory), str(switch))
        patcher.apply(
            [Applied(adapter, {"unet": 0.5 + switch / 1000, "text_encoder": 1.0})] if switch % 4 else []
        )
        if switch == 9:
            result["after 10"] = anonymous_gigabytes()
    return result | {"after all": anonymous_gigabytes()}


def diffusers(checkpoint: Path, loras: list[Path], _dtype_name: str) -> dict[str, float]:
    import torch
    from diffusers import StableDiffusionXLPipeline

    result: dict[str, float] = {}
    warm(checkpoint)
    began = time.perf_counter()
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        checkpoint, torch_dtype=torch.float32, add_watermarker=False
    )
    result["load"] = time.perf_counter() - began
    for file in loras:
        warm(file)
    for count in (1, 3):
        names = [f"a{number}" for number in range(count)]
        with extra_memory(result, f"memory {count}"):
            began = time.perf_counter()
            for name, file in zip(names, loras, strict=False):
                pipeline.load_lora_weights(file.parent, weight_name=file.name, adapter_name=name)
            result[f"read {count}"] = time.perf_counter() - began
            pipeline.set_adapters(names, WEIGHTS[count])
            pipeline.fuse_lora(adapter_names=names)
            result[f"patch {count}"] = time.perf_counter() - began
        result[f"none {count}"] = seconds(lambda: (pipeline.unfuse_lora(), pipeline.unload_lora_weights()))
    return result


SIDES: dict[str, Callable[..., dict[str, float]]] = {"ours": ours, "diffusers": diffusers}


def table(folder: Path) -> str:
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "diffusers": []}
    for _ in range(ROUNDS):
        for side, found in runs.items():
            found.append(in_own_process(MODULE, side, str(folder), "float32"))
    mine, theirs = best(runs["ours"]), best(runs["diffusers"])
    mapped = in_own_process(MODULE, "ours", str(folder), "float16")
    memory = in_own_process(MODULE, "memory", str(folder), "float32")
    machine = in_own_process(MODULE, "floors", str(folder), "float32")
    touched = 2.207744e9 + 0.0849e9 + 0.6291e9
    convert = touched * 6 / machine["convert"]
    multiply = 2 * 32 * touched / machine["multiply"]
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores; fp16 file, float32 weights on the CPU; convert "
        f"{machine['convert'] / 1e9:.1f} GB/s, multiply {machine['multiply'] / 1e9:.0f} GFLOP/s; "
        f"{ROUNDS} rounds.",
        "",
        "| what | Écurie | floor | diffusers + peft | ratio |",
        "|---|---|---|---|---|",
        f"| read, map and check one file of 228 MB | {mine['read']:.3f} s | | {theirs['read 1']:.2f} s | "
        f"{theirs['read 1'] / mine['read']:.0f} |",
        f"| its SHA-256, once for a file | {mine['sha256']:.3f} s | | | |",
    ]
    for count in (1, 3):
        lines.append(
            f"| from {count} file{'s' * (count > 1)} to patched weights | {mine[f'patch {count}']:.2f} s | "
            f"{convert + count * multiply:.2f} s | {theirs[f'patch {count}']:.2f} s | "
            f"{theirs[f'patch {count}'] / mine[f'patch {count}']:.1f} |"
        )
    lines += [
        f"| other weights, three | {mine['weights 3']:.2f} s | {convert + 3 * multiply:.2f} s | | |",
        f"| the same three again | {mine['again 3'] * 1e3:.2f} ms | | | |",
        f"| back to none | {mine['none 3']:.2f} s | {convert:.2f} s | {theirs['none 3']:.2f} s | "
        f"{theirs['none 3'] / mine['none 3']:.1f} |",
        f"| back to none, file mapped as it is computed (fp16) | {mapped['none 3']:.3f} s | | | |",
        f"| peak extra memory, one | {mine['memory 1']:.2f} GB | | {theirs['memory 1']:.2f} GB | |",
        f"| peak extra memory, three | {mine['memory 3']:.2f} GB | | {theirs['memory 3']:.2f} GB | |",
        f"| memory held after 10 and {SWITCHES} switches | {memory['after 10']:.2f}, "
        f"{memory['after all']:.2f} GB | | | |",
        f"| load the model, warm cache | {mine['load']:.1f} s | | {theirs['load']:.1f} s | "
        f"{theirs['load'] / mine['load']:.1f} |",
    ]
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) == 2:
        folder = Path(sys.argv[1])
        make_checkpoint(folder / "sdxl-random")
        print(table(folder))
        return
    side, folder = sys.argv[1], Path(sys.argv[2])
    checkpoint = make_checkpoint(folder / "sdxl-random")
    loras = [make_lora(folder / f"lora-{number}.safetensors", number) for number in range(3)]
    if side == "floors":
        result = floors()
    elif side == "memory":
        result = memory_over_switches(checkpoint, folder)
    else:
        result = SIDES[side](checkpoint, loras, sys.argv[3])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
