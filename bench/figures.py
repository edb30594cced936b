"""What figures cost: `python -m bench.figures [POSTGRES_URL]`. Prints Markdown.

The answer of GET /metrics with 10,000 jobs in the queue and 100,000 that have ended, of forty models; and the
end of a job, which is counted in the same transaction. In SQLite, and in the database that is named.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import sqlalchemy as sql

from bench.load import spread
from bench.progress import RESULT
from ecurie.api.exposition import Exposition
from ecurie.api.request_figures import RequestFigures
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import JobState, Priority, Seen, Timings
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import Pictures, UploadLimits
from ecurie.jobs.claims import Claims
from ecurie.jobs.doorbell import NoBell
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore, New
from ecurie.jobs.table import jobs
from ecurie.requests.body import GenerateBody
from ecurie.requests.resolve import resolve
from ecurie.service import Limits, Service

QUEUED, ENDED, MODELS, ENDINGS, SCRAPES = 10_000, 100_000, 40, 300, 20


def main() -> None:
    print(f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.2f}\n")
    print("| what | database | measured |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        measure("SQLite", f"sqlite:///{folder}/jobs.db", Path(folder))
    for url in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as folder:
            measure("PostgreSQL", url, Path(folder))


def measure(name: str, url: str, folder: Path) -> None:
    store = JobStore(url)
    service = _service(store, folder)
    print(f"| end of a job of 30 steps | {name} | {spread(endings(store, service))} |", flush=True)
    fill(store, service)
    exposition = Exposition(RequestFigures(), service)
    times = _timed(lambda: exposition.written(""), SCRAPES)
    size = len(exposition.written("")[0])
    print(f"| GET /metrics, {size:,} bytes | {name} | {spread(times)} |", flush=True)
    store.close()


def endings(store: JobStore, service: Service) -> list[float]:
    """Seconds of `Claims.succeed`."""
    request = resolve(GenerateBody(prompt="red apple"), service.catalog, 10**9)
    result = dataclasses.replace(RESULT, timings=Timings(0.01, 0.2, 0.1, 4.0, 0.3, 0.05))
    seen = Seen(tuple(0.1 + number / 100 for number in range(29)), previews=5)
    times: list[float] = []
    claims: Claims = store.claims
    for _ in range(ENDINGS):
        store.add(request, priority=0, stack="", max_queue=10)
        claim = claims.take("w", Held(), lease_seconds=60, max_overtake=60)
        assert claim is not None
        began = time.perf_counter()
        claims.succeed(claim, result, seen)
        times.append(time.perf_counter() - began)
    return times


def fill(store: JobStore, service: Service) -> None:
    request = resolve(GenerateBody(prompt="red apple"), service.catalog, 10**9)
    for number in range(MODELS):
        new = [New(dataclasses.replace(request, model=f"model-{number}"), "")]
        for priority in (Priority.NORMAL, Priority.BATCH):
            for count in (ENDED, QUEUED):
                store.add_all(new * (count // MODELS // 2), priority=priority, max_queue=10**9)
                if count == ENDED:
                    _end_all(store)


def _end_all(store: JobStore) -> None:
    with store.database.connect() as connection:
        ended = {"state": JobState.SUCCEEDED, "finished_at": time.time()}
        fresh = jobs.c.finished_at.is_(None) & (jobs.c.step == 0)
        last = sql.select(sql.func.max(jobs.c.seq)).scalar_subquery()
        newest = jobs.c.seq > last - ENDED // MODELS // 2
        connection.execute(sql.update(jobs).where(fresh, newest).values(**ended))


def _service(store: JobStore, folder: Path) -> Service:
    catalog, kept = Catalog(BUILTIN["demo"], folder), LocalFolder(folder)
    pictures = Pictures(kept, kept, UploadLimits(10**6, 10**6))
    return Service(catalog, store, NoBell(), kept, Limits(10**9, 10**9), pictures)


def _timed(work: Callable[[], object], times: int) -> Sequence[float]:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return found


if __name__ == "__main__":
    main()
