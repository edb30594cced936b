"""Several workers on one machine, sharing one SQLite store."""

from __future__ import annotations

import os
import signal

import pytest

from tests.conftest import Server, StartServer


@pytest.fixture(scope="module")
def pair(module_servers: StartServer) -> Server:
    server = module_servers("--workers", "2")
    server.wait_until(lambda: len(server.client.get("/system").json()["workers"]) == 2, "with two workers")
    return server


def test_two_jobs_run_at_once_and_a_death_is_that_of_one(pair: Server) -> None:
    """The worker that is killed loses its own job alone; another takes its post, and the job runs again."""
    jobs = [pair.submit(steps=120, seed=seed) for seed in (1, 2)]

    def both_run() -> list[dict[str, object]] | None:
        running = pair.client.get("/jobs?state=running").json()["jobs"]
        return running if {job["id"] for job in running} == set(jobs) else None

    pair.wait_until(both_run, "running both")
    workers = {worker["name"]: worker["pid"] for worker in pair.client.get("/system").json()["workers"]}
    assert len(set(workers.values())) == 2
    killed, kept = workers
    os.kill(workers[killed], signal.SIGKILL)
    done = [pair.wait_for(job_id, "succeeded", "failed") for job_id in jobs]
    assert [job["state"] for job in done] == ["succeeded"] * 2
    assert sorted(job["attempts"] for job in done) == [1, 2]
    pair.wait_until(lambda: len(pair.client.get("/system").json()["workers"]) == 2, "with two workers")
    after = {worker["name"]: worker["pid"] for worker in pair.client.get("/system").json()["workers"]}
    assert after[kept] == workers[kept]
    assert killed not in after


def test_twenty_jobs_of_two_workers_run_once_each(pair: Server) -> None:
    jobs = [pair.submit(steps=1, seed=seed) for seed in range(20)]
    done = [pair.wait_for(job_id, "succeeded", "failed") for job_id in jobs]
    assert {(job["state"], job["attempts"]) for job in done} == {("succeeded", 1)}
    names = [job["result"]["images"][0]["filename"] for job in done]
    assert len(set(names)) == 20


def test_the_memory_is_divided(pair: Server) -> None:
    budgets = [worker["ram_budget"] for worker in pair.client.get("/system").json()["workers"]]
    assert budgets[0] == budgets[1]
    assert sum(budgets) < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
