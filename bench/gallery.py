"""The gallery with 100,000 jobs: `python -m bench.gallery [URL]`. Prints Markdown.

`URL` is SQLAlchemy's, of an empty database; without it a SQLite file that is removed again. Measured is the
store's answer, parsed: the median of nine.
"""

from __future__ import annotations

import dataclasses
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import sqlalchemy as sql

from ecurie.domain import AdapterUse, GenerationRequest, ImageFile, JobResult, JobState, Setup, Timings
from ecurie.jobs.gallery import Place, Wanted
from ecurie.jobs.rows import to_json
from ecurie.jobs.store import JobStore, New
from ecurie.jobs.table import jobs

JOBS, AT_ONCE, PAGE = 100_000, 500, 60
WORDS = [f"{first}{second}" for first in ("ba", "ki", "lo", "mu") for second in range(500)]
REQUEST = GenerationRequest(
    prompt="",
    final_prompt="",
    negative_prompt="low quality, blurry, distorted",
    model="",
    model_path="/models/x",
    adapters=(),
    steps=30,
    guidance_scale=7.5,
    seed=7,
    width=64,
    height=64,
    num_images=1,
    scheduler="default",
    clip_skip=2,
)
ADAPTER = AdapterUse("style", "/models/style", "0" * 64, "0" * 12, 1.0, 1.0)
RESULT = JobResult((ImageFile("a.png", 7, 64, 64),), Setup("cpu", "float32", "Euler", {}), Timings())
SEARCHES = {
    "the newest": (Wanted(), None),
    "page 1,000": (Wanted(), Place(JOBS - 1000 * PAGE, 0)),
    "a word of one prompt in eighty": (Wanted(("ba7",)), None),
    "two words, a model and an adapter": (Wanted(("ba7", "lo"), "model-1", "style-2"), None),
    "a word of none": (Wanted(("nowhere",)), None),
    "of one owner among a hundred": (Wanted(owner="owner-7"), None),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'jobs.db'}"
        store = JobStore(url)
        fill(store)
        print(f"{JOBS:,} jobs, {store.database.dialect.name}, load average {os.getloadavg()[0]:.1f}\n")
        print("| search | images | milliseconds |\n|---|---|---|")
        for what, (wanted, before) in SEARCHES.items():
            found, milliseconds = asked(store, wanted, before)
            print(f"| {what} | {found} | {milliseconds:.0f} |", flush=True)
        store.close()


def fill(store: JobStore) -> None:
    chance = random.Random(7)
    for start in range(0, JOBS, AT_ONCE):
        new = [New(request_of(start + number, chance), "") for number in range(AT_ONCE)]
        store.add_all(new, priority=0, max_queue=10**9, owner=f"owner-{start // AT_ONCE % 100}")
    now = time.time()
    ended = {"state": JobState.SUCCEEDED, "started_at": now, "finished_at": now, "result": to_json(RESULT)}
    with store.database.connect() as connection:
        connection.execute(sql.update(jobs).values(**ended))
        if store.database.dialect.name == "postgresql":
            # As its own daemon does by and by.
            connection.execute(sql.text("VACUUM ANALYZE jobs"))


def request_of(number: int, chance: random.Random) -> GenerationRequest:
    prompt = " ".join(chance.choices(WORDS, k=25))
    adapters = (dataclasses.replace(ADAPTER, name=f"style-{number % 7}"),)
    model = f"model-{number % 4}"
    return dataclasses.replace(
        REQUEST, prompt=prompt, final_prompt=prompt, model=model, adapters=adapters, seed=number
    )


def asked(store: JobStore, wanted: Wanted, before: Place | None) -> tuple[int, float]:
    """Images found, and milliseconds."""
    times = []
    for _ in range(9):
        began = time.perf_counter()
        found = store.gallery.page(wanted, before, PAGE)
        times.append(time.perf_counter() - began)
    return len(found), 1000 * median(times)


if __name__ == "__main__":
    main()
