"""Run inside the mount namespace of the full-disk tests: `python -m tests.e2e.full_disk WHAT DATA_DIR`.

WHAT is `outputs` or `table`. Prints a word for each thing that was seen.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import Server, free_port


def full_outputs(server: Server) -> Iterator[object]:
    outputs = server.data_dir / "outputs"
    filler = fill(outputs)
    job = server.wait_for(server.submit(steps=1), "failed", "succeeded")
    yield job["error"]["code"] if job["error"] else "no-error"
    yield [file.name for file in outputs.iterdir() if file != filler] or "no-file"
    filler.unlink()
    yield server.wait_for(server.submit(steps=1), "failed", "succeeded")["state"]


def full_table(server: Server) -> Iterator[object]:
    """The disk of the job table fills while a job runs; images have room elsewhere."""
    running = server.submit(steps=100)
    server.wait_for(running, "running")
    filler = fill(server.data_dir)
    refused = server.wait_until(lambda: refusal(server), "refusing")
    yield refused["code"]
    yield server.client.get(f"/jobs/{running}").status_code
    known = {job["id"] for job in server.client.get("/jobs?limit=500").json()["jobs"]}
    server.wait_until(lambda: "cannot be" in server.log, "told of the full disk by the worker")
    filler.unlink()
    job = server.wait_for(running, "failed", "succeeded")
    yield f"{job['state']}-{job['attempts']}"
    for job_id in known:
        yield server.wait_for(job_id, "failed", "succeeded")["state"]


def refusal(server: Server) -> dict[str, str] | None:
    """Room that SQLite took earlier may hold a few jobs more."""
    answer = server.client.post("/generate", json={"prompt": "x", "steps": 1})
    return None if answer.status_code == 202 else answer.json()


def fill(folder: Path) -> Path:
    """Take all of the file system's room."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


def main() -> None:
    what, data_dir = sys.argv[1], Path(sys.argv[2])
    server = Server(data_dir, free_port(), ["--demo"], {}).wait_ready()
    try:
        for seen in {"outputs": full_outputs, "table": full_table}[what](server):
            print(seen, flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
