"""The server under load, on the demo model: `python -m bench.load`. Prints Markdown.

How many jobs a second are accepted, how fast a job is told with 100,000 in the store, what 200 listeners get
and when, and how long an idle server takes from the request to the start of the work. The clients run on the
same machine.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import sqlalchemy as sql

from bench.serving import Served, served
from ecurie.domain import GenerationRequest, ImageFile, JobResult, JobState, Setup, Timings
from ecurie.jobs.rows import to_json
from ecurie.jobs.store import JobStore, New
from ecurie.jobs.table import jobs

ACCEPTED, CONNECTIONS, LISTENERS = 1_000, 8, 200
ENDED, QUEUED = 99_000, 1_000
FLAGS = ("--demo", "--max-queue", "1000000", "--threads", "1", "--lease-seconds", "3600")


def main() -> None:
    print(f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.2f}\n")
    print("| what | measured | aim |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), *FLAGS) as server:
        times = [start_overhead(server) for _ in range(30)][5:]
        row("request to start of work, idle", spread(times), "< 50 ms")
        with server.worker_stopped():
            row(
                f"{ACCEPTED:,} jobs sent by {CONNECTIONS} clients",
                f"{accepted_a_second(server):.0f} /s",
                "> 200 /s",
            )
        row("the same while the worker draws", f"{accepted_a_second(server):.0f} /s", "")
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), *FLAGS) as server:
        for what, delays in listeners(server).items():
            row(what, spread(delays), "")
    with tempfile.TemporaryDirectory() as folder:
        ids = fill(Path(folder))
        with served(Path(folder), *FLAGS) as server, server.worker_stopped():
            for what, job_id in ids.items():
                row(
                    f"GET /jobs/{{id}}, {ENDED + QUEUED:,} jobs, {what}",
                    spread(asked(server, job_id)),
                    "< 20 ms",
                )


def row(what: str, measured: str, aim: str) -> None:
    print(f"| {what} | {measured} | {aim} |", flush=True)


def spread(seconds: Sequence[float]) -> str:
    ordered = [f"{second * 1000:.1f} ms" for second in sorted(seconds)]
    return f"median {ordered[len(ordered) // 2]}, p99 {ordered[int(0.99 * (len(ordered) - 1))]}"


def start_overhead(server: Served) -> float:
    """Seconds from before the request is sent until the worker has taken the job; the model is loaded."""
    sent = time.time()
    job = server.ask("POST", "/generate?wait=60", {"prompt": "red apple", "steps": 1})
    time.sleep(0.1)
    return datetime.fromisoformat(job["started_at"]).timestamp() - sent


def accepted_a_second(server: Served) -> float:
    """Of jobs that keep the worker busy for long; they are cancelled afterwards."""
    ids: list[str] = []

    def send(count: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        for _ in range(count):
            body = json.dumps({"prompt": "red apple", "steps": 150, "num_images": 16})
            connection.request("POST", "/generate", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = json.load(answer)
            assert answer.status == 202, content
            ids.append(content["id"])
        connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(send, [ACCEPTED // CONNECTIONS] * CONNECTIONS))
    took = time.perf_counter() - began
    for job_id in ids:
        server.ask("DELETE", f"/jobs/{job_id}")
    return len(ids) / took


def listeners(server: Served) -> dict[str, list[float]]:
    """Seconds from a job's end until each listener knows of it: all of one job that runs, and one of each of
    many that are cancelled."""
    body = {"prompt": "red apple", "steps": 150}
    running: str = server.ask("POST", "/generate", body)["id"]
    together = asyncio.run(_followed(server, [running] * LISTENERS, lambda: None))
    with server.worker_stopped():
        ids = [server.ask("POST", "/generate", body)["id"] for _ in range(LISTENERS)]

        def cancel() -> None:
            for job_id in ids:
                server.ask("DELETE", f"/jobs/{job_id}")

        apart = asyncio.run(_followed(server, ids, cancel))
    return {
        f"{LISTENERS} listeners of one job learn of its end after": together,
        f"{LISTENERS} listeners of as many jobs that are cancelled": apart,
    }


async def _followed(server: Served, ids: Sequence[str], meanwhile: Callable[[], None]) -> list[float]:
    connected = [await _connect(server, job_id) for job_id in ids]
    ends = asyncio.gather(*(_delay(reader) for reader, _ in connected))
    await asyncio.to_thread(meanwhile)
    return await asyncio.wait_for(ends, 600)


async def _connect(server: Served, job_id: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Both are to be held: a writer that nobody holds closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def _delay(reader: asyncio.StreamReader) -> float:
    """From the job's end, as its last event tells it, until that event is here."""
    while line := await reader.readline():
        if line.startswith(b"data: ") and b'"finished_at":"' in line.replace(b" ", b""):
            ended = datetime.fromisoformat(json.loads(line[6:])["finished_at"])
            return time.time() - ended.timestamp()
    raise AssertionError("the events ended without the job's end")


def fill(folder: Path) -> dict[str, str]:
    """Put jobs into the store of a server to be; returns the ids of some."""
    request = GenerationRequest(
        prompt="red apple", final_prompt="red apple", negative_prompt="", model="sdxl-base",
        model_path="sdxl-base", adapters=(), steps=30, guidance_scale=7.5, seed=7, width=64, height=64,
        num_images=1, scheduler="default", clip_skip=2,
    )  # fmt: skip
    result = JobResult((ImageFile("a.png", 7, 64, 64),), Setup("cpu", "float32", "Euler", {}), Timings())
    store = JobStore(f"sqlite:///{folder / 'ecurie.db'}")
    ids = [job_id for _ in range(0, ENDED + QUEUED, 500) for job_id in _batch(store, request)]
    now = time.time()
    ended = {"state": JobState.SUCCEEDED, "started_at": now, "finished_at": now, "result": to_json(result)}
    with store.database.connect() as connection:
        connection.execute(sql.update(jobs).where(jobs.c.seq <= ENDED).values(**ended))
    store.close()
    return {"ended": ids[0], "first in the queue": ids[ENDED], f"last of {QUEUED:,} in the queue": ids[-1]}


def _batch(store: JobStore, request: GenerationRequest) -> list[str]:
    return store.add_all([New(request, "")] * 500, priority=0, max_queue=10**9)


def asked(server: Served, job_id: str) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    times = []
    for _ in range(220):
        began = time.perf_counter()
        connection.request("GET", f"/jobs/{job_id}")
        assert json.load(connection.getresponse())["id"] == job_id
        times.append(time.perf_counter() - began)
    return times[20:]


if __name__ == "__main__":
    main()
