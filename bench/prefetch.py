"""What prefetching hides: from the claim of a job to its first step, while its files are on the disk alone.

`python -m bench.prefetch FOLDER`. A worker runs a job of the demo model and then one of a random checkpoint
of full SDXL size with two adapters of 228 MB, whose files have left the page cache when the first job begins;
with prefetch and without, in processes of their own, in turn. Prints Markdown.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean

from bench.full_size import make_checkpoint, make_lora
from bench.sides import in_own_process
from ecurie.catalog.sources import DEMO_MODELS
from ecurie.domain import LOCAL, Job

MODULE = "bench.prefetch"
ROUNDS, ADAPTERS = 2, 2
FIRST = {"prompt": "red apple", "model": "demo", "steps": 150, "num_images": 3, "seed": 1}
NEXT = {
    "prompt": "x",
    "negative_prompt": "x",
    "model": "full",
    "steps": 1,
    "seed": 1,
    "width": 64,
    "height": 64,
}


def main() -> None:
    match sys.argv[1:]:
        case ["run", prefetch, place]:
            print(json.dumps(run(prefetch, Path(place))))
        case [place]:
            folder = Path(place)
            make_checkpoint(folder / "sdxl-random")
            for number in range(ADAPTERS):
                make_lora(folder / f"lora-{number}.safetensors", seed=number)
            print(table(folder))


def run(prefetch: str, folder: Path) -> dict[str, float]:
    """Seconds of both jobs, by a real worker on a store of its own."""
    from ecurie.bootstrap import make_doorbell, make_engine, make_service, make_store
    from ecurie.requests.body import GenerateBody
    from ecurie.settings import load_settings
    from ecurie.worker.loop import Worker
    from ecurie.worker.stop import StopSign

    with tempfile.TemporaryDirectory(dir=folder) as data:
        catalog = Path(data) / "catalog.yaml"
        catalog.write_text(_catalog(folder))
        settings = load_settings(data_dir=data, catalog=catalog, prefetch=prefetch == "on", device="cpu")
        store = make_store(settings)
        service = make_service(settings, store, make_doorbell(settings))
        loras = [{"name": f"lora-{number}", "weight": 0.5} for number in range(ADAPTERS)]
        first, following = (
            service.submit(GenerateBody.model_validate(body), LOCAL).id
            for body in (FIRST, NEXT | {"loras": loras})
        )
        # The adapters were hashed when the job was sent; the checkpoint's hashes are as after its first use.
        _hash(folder)
        dropped = _drop_pages(folder)
        stop = StopSign(0)
        worker = Worker("bench", make_engine(settings), store, settings, stop)
        times: dict[str, float] = {"cached": dropped}

        def watch() -> None:
            while (job := store.get(following)).started_at is None:
                time.sleep(0.01)
            before = _read_from_disk()
            while job.progress.step == 0 and not job.state.ended:
                time.sleep(0.01)
                job = store.get(following)
            times["from disk"] = _read_from_disk() - before
            assert job.started_at is not None
            times["first step"] = time.time() - job.started_at.timestamp()
            while not (job := store.get(following)).state.ended:
                time.sleep(0.05)
            times.update(_timings(store.get(first), job))
            stop.on_signal(0, None)

        threading.Thread(target=watch, daemon=True).start()
        worker.run()
        store.close()
    return times


def _read_from_disk() -> float:
    """Bytes that this process has had the disk read."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("read_bytes:"):
            return float(line.split()[1])
    raise RuntimeError("this bench reads /proc/self/io, so it needs Linux")


def _timings(first: Job, following: Job) -> dict[str, float]:
    assert first.result is not None, first.failure
    assert following.result is not None, following.failure
    report = following.result.report
    return {
        "running job": first.result.timings.denoise,
        "adapters read": report.read,
        "switch": following.result.timings.switch,
    }


def _catalog(folder: Path) -> str:
    adapters = "".join(
        f"  lora-{n}: {{name: L, source: {folder}/lora-{n}.safetensors}}\n" for n in range(ADAPTERS)
    )
    return (
        "defaults: {model: demo}\nmodels:\n"
        f"  demo: {{name: Demo, source: {DEMO_MODELS / 'sdxl-base'}}}\n"
        f"  full: {{name: Full, source: {folder / 'sdxl-random'}}}\n"
        f"adapters:\n{adapters}"
    )


def _hash(folder: Path) -> None:
    from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
    from ecurie.formats.model_files import model_files

    model_files(read_checkpoint(ModelFiles(folder / "sdxl-random")))


def _drop_pages(folder: Path) -> float:
    """Have the files' pages leave the page cache; returns the share of files that are still there."""
    from ecurie.formats.read_ahead import in_page_cache

    files = [*folder.glob("*.safetensors"), *(folder / "sdxl-random").rglob("*.safetensors")]
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    return mean(in_page_cache(file, file.stat().st_size) for file in files)


def table(folder: Path) -> str:
    found: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
    for _ in range(ROUNDS):
        for prefetch, runs in found.items():
            runs.append(in_own_process(MODULE, "run", prefetch, str(folder)))
    assert all(one["cached"] == 0 for runs in found.values() for one in runs), "the page cache was not cold"
    lines = [
        f"{platform.machine()}, {os.cpu_count()} cores, float32 from fp16 files; {ROUNDS} rounds in turn.",
        "",
        "| seconds, if not said otherwise | without prefetch | with |",
        "|---|---|---|",
    ]
    for name, label in (
        ("first step", "from claim to first step of the next job"),
        ("switch", "of these, adapters read and applied"),
        ("adapters read", "of these, adapters read"),
        ("from disk", "GB read from the disk from claim to first step"),
        ("running job", f"denoising of the running job, {FIRST['num_images']} images"),
    ):
        scale = 1e9 if name == "from disk" else 1
        off, on = ([one[name] / scale for one in found[side]] for side in ("off", "on"))
        lines.append(f"| {label} | {_shown(off)} | {_shown(on)} |")
    return "\n".join(lines)


def _shown(seconds: list[float]) -> str:
    return ", ".join(f"{one:.2f}" for one in seconds)


if __name__ == "__main__":
    main()
