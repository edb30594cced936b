"""A trace of jobs for real, beside what the simulation says of it: `python -m bench.scheduling_served`.

A server with three demo models, of which one fits into memory, so each change of the model is a load. What a
generation, a change of adapters and a change of the model take is measured first; with these times the
simulation plays the same trace. Once strictly in order (`max_overtake_seconds` 0), once with visits of a few
seconds, since these jobs are short. Prints Markdown.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.scheduling import Case, Costs, Sent, first_come, ours, run, trace
from bench.serving import Served, served
from ecurie.catalog.catalog import BUILTIN
from ecurie.catalog.sources import DEMO_MODELS

MODELS = ("sdxl-base", "pony-xl-v6", "sdxl-again")
ADAPTERS = ("style-anime", "character-detailed", "cyberpunk-style", "ink-sketch")
THIRD = """
  sdxl-again:
    name: The demo base once more
    source: {folder}
    size: [64, 64]
"""
STEPS, JOBS, LOAD, VISIT_SECONDS = 4, 120, 1.2, 5.0
TIMED = 20


@dataclass(frozen=True)
class Ran:
    """Seconds since the epoch."""

    model: str
    stack: str
    created: float
    started: float
    finished: float


def main() -> None:
    print(f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.2f}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog = three_models(folder)
        with server(folder / "in-order", catalog, 0.0) as one:
            costs = measured_costs(one)
            jobs = trace(Case(JOBS, len(MODELS), len(ADAPTERS), LOAD, costs), seed=1)
            in_order = play(one, jobs)
        with server(folder / "ours", catalog, VISIT_SECONDS) as one:
            by_visits = play(one, jobs)
    print(
        f"Measured alone: a job of {STEPS} steps {costs.generation:.3f} s, other adapters "
        f"{costs.stack:.3f} s, another model {costs.model:.3f} s.\n"
    )
    print("| order | | model switches | stack switches | all done | waiting, p50 | p99 |")
    print("|---|---|---|---|---|---|---|")
    for order, policy, ran in (
        ("first come", first_come, in_order),
        (f"ours, {VISIT_SECONDS:g} s", ours(VISIT_SECONDS), by_visits),
    ):
        said = run(jobs, costs, policy)
        waits = [said.wait(0.5), said.wait(0.99)]
        row(order, "predicted", said.model_switches, said.stack_switches, said.total, waits)
        row(order, "measured", *outcome(ran))


def server(folder: Path, catalog: Path, max_overtake: float) -> Any:
    folder.mkdir()
    flags = {
        "--catalog": str(catalog),
        "--max-resident-models": "1",
        "--threads": "1",
        "--max-overtake-seconds": str(max_overtake),
    }
    return served(folder, *(part for flag in flags.items() for part in flag))


def three_models(folder: Path) -> Path:
    """The demo catalogue with a copy of its base model as a third one."""
    third = folder / "sdxl-again"
    shutil.copytree(DEMO_MODELS / "sdxl-base", third)
    catalog = folder / "catalog.yaml"
    whole = BUILTIN["demo"].read_text()
    catalog.write_text(whole.replace("\nadapters:\n", f"{THIRD.format(folder=third)}\nadapters:\n", 1))
    return catalog


def measured_costs(one: Served) -> Costs:
    """From what a job after another takes: the same again, with other adapters, with another model."""
    base, *_ = MODELS
    stacks = [ADAPTERS[number % 2] for number in range(TIMED)]
    models = [MODELS[number % 2] for number in range(TIMED)]
    same = typical(finish(one, [send(one, base, "") for _ in range(TIMED)]))
    other_stack = typical(finish(one, [send(one, base, stack) for stack in stacks]))
    other_model = typical(finish(one, [send(one, model, "") for model in models]))
    return Costs(other_model - same, max(0.0, other_stack - same), same)


def typical(ran: Sequence[Ran]) -> float:
    """Median seconds from the start of a job to the start of the next, without the first two."""
    starts = [one.started for one in ran[2:]]
    return statistics.median(after - before for before, after in pairwise(starts))


def send(one: Served, model: str, stack: str) -> str:
    loras = [{"name": name, "weight": 0.7} for name in stack.split(",") if name]
    body = {"prompt": "red apple", "model": model, "loras": loras, "steps": STEPS, "seed": 7}
    job_id: str = one.ask("POST", "/generate", body)["id"]
    return job_id


def play(one: Served, jobs: Sequence[Sent]) -> list[Ran]:
    """Send each job at its moment; returns them in the order in which they ran."""
    began, ids = time.monotonic(), []
    for sent in jobs:
        time.sleep(max(0.0, began + sent.at - time.monotonic()))
        stack = ",".join(ADAPTERS[int(number)] for number in sent.job.stack.split(",") if number)
        ids.append(send(one, MODELS[int(sent.job.model.removeprefix("model-"))], stack))
    return finish(one, ids)


def finish(one: Served, ids: Sequence[str]) -> list[Ran]:
    found = []
    for job_id in ids:
        while (job := one.ask("GET", f"/jobs/{job_id}"))["finished_at"] is None:
            time.sleep(0.1)
        if job["state"] != "succeeded":
            sys.exit(f"a job ended as {job['state']}: {job['error']}")
        stack = ",".join(sorted(lora["name"] for lora in job["request"]["loras"]))
        moments = (job["created_at"], job["started_at"], job["finished_at"])
        found.append(Ran(job["request"]["model"], stack, *map(seconds, moments)))
    return sorted(found, key=lambda ran: ran.started)


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def outcome(ran: Sequence[Ran]) -> tuple[int, int, float, list[float]]:
    """Model switches, stack switches, seconds in all, and the median and 99th percentile of the waits."""
    model_switches = stack_switches = 0
    model, stack = "", ""
    for one in ran:
        model_switches += one.model != model
        stack_switches += one.stack != ("" if one.model != model else stack)
        model, stack = one.model, one.stack
    waits = sorted(one.started - one.created for one in ran)
    total = max(one.finished for one in ran) - min(one.created for one in ran)
    shown = [waits[int(share * (len(waits) - 1))] for share in (0.5, 0.99)]
    return model_switches, stack_switches, total, shown


def row(order: str, kind: str, models: int, stacks: int, total: float, waits: Sequence[float]) -> None:
    shown = " | ".join(f"{wait:.1f} s" for wait in waits)
    print(f"| {order} | {kind} | {models} | {stacks} | {total:.1f} s | {shown} |", flush=True)


if __name__ == "__main__":
    main()
