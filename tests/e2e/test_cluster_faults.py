"""Faults of several machines: what the others do, and a check of everything that was accepted at the end."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ecurie.jobs.store import JobStore
from tests.brokers import ClusterWorker
from tests.faults_run.checking import Evidence, problems
from tests.faults_run.cluster import Cluster, cluster
from tests.faults_run.faults import MAX_ATTEMPTS
from tests.faults_run.history import History

LEASE_SECONDS, CUT_SECONDS = 4.0, 20.0


class Recorded:
    """A cluster whose jobs are written down when they are accepted and when they end."""

    def __init__(self, system: Cluster):
        self.system, self.server = system, system.server
        self.history, self._seed = History(), 0

    def submit(self, **fields: Any) -> str:
        self._seed += 1
        asked = time.monotonic()
        answer = self.server.client.post(
            "/generate", json={"prompt": "red apple", "seed": self._seed, **fields}
        )
        assert answer.status_code == 202, answer.text
        self.history.accept(answer.json(), self._seed, asked)
        job_id: str = answer.json()["id"]
        return job_id

    def end_of(self, job_id: str) -> dict[str, Any]:
        job = self.server.wait_for(job_id, "succeeded", "failed")
        self.history.saw(job, time.monotonic())
        return job

    def worker_of(self, job_id: str) -> ClusterWorker:
        """The one that runs it."""

        def name() -> str | None:
            rows = self.server.client.get("/system").json()["workers"]
            return next((row["name"] for row in rows if row["job"] == job_id), None)

        found = self.server.wait_until(name, f"running {job_id}")
        return next(worker for worker in self.system.workers if worker.name == found)

    def problems(self) -> list[str]:
        store = JobStore(self.system.store_url)
        jobs = {job.id: job for job in store.latest(1000, None)}
        store.close()
        outputs = self.server.data_dir / "outputs"
        return problems(self.history, Evidence(jobs, outputs, self.system.log, MAX_ATTEMPTS))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("cluster") / "data"
    lease = {"ECURIE_LEASE_SECONDS": str(LEASE_SECONDS)}
    with cluster(folder, random.Random(0), "rabbitmq", **lease) as system:
        recorded = Recorded(system)
        yield recorded
        system.stop()
        assert recorded.problems() == []


def test_a_postgresql_that_is_killed_in_the_middle_costs_no_job_an_attempt(recorded: Recorded) -> None:
    job_id = recorded.submit(steps=80)
    recorded.server.wait_for(job_id, "running")
    recorded.system.postgres.kill()
    answer = recorded.server.client.post("/generate", json={"prompt": "x"})
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
    assert recorded.server.client.get(f"/jobs/{job_id}").status_code == 503
    recorded.system.postgres.restart()
    job = recorded.end_of(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 1)


def test_a_broker_that_is_killed_and_starts_again_is_heard_again(recorded: Recorded) -> None:
    job_id = recorded.submit(steps=60)
    recorded.server.wait_for(job_id, "running")
    recorded.system.kill_broker()
    others = [recorded.submit(steps=1) for _ in range(3)]
    assert [recorded.end_of(one)["attempts"] for one in (job_id, *others)] == [1] * 4


def test_a_worker_whose_network_is_cut_loses_its_job_and_the_images_of_the_next_one_stay(
    recorded: Recorded,
) -> None:
    """The second worker's; both are busy, so that its job is one of the two."""
    jobs = [recorded.submit(steps=120) for _ in range(2)]
    running = {recorded.worker_of(job_id): job_id for job_id in jobs}
    far = recorded.system.workers[1]
    job_id = running[far]
    cut = threading.Thread(target=recorded.system.network.cut, args=(CUT_SECONDS,))
    cut.start()
    job = recorded.end_of(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    cut.join()
    assert all(recorded.end_of(one)["state"] == "succeeded" for one in jobs)
    recorded.server.wait_until(lambda: f"job {job_id} was taken over" in far.log, "told of it")
    assert recorded.end_of(recorded.submit(steps=1))["state"] == "succeeded"


def test_a_worker_that_froze_wakes_up_and_changes_nothing(recorded: Recorded) -> None:
    job_id = recorded.submit(steps=80)
    worker = recorded.worker_of(job_id)
    os.kill(worker.process.pid, signal.SIGSTOP)
    job = recorded.end_of(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 2)
    os.kill(worker.process.pid, signal.SIGCONT)
    recorded.server.wait_until(lambda: f"job {job_id} was taken over" in worker.log, "told of it")
    for image in job["result"]["images"]:
        assert recorded.server.client.get(image["url"]).status_code == 200


def test_rings_that_are_lost_come_late_or_twice_cost_nothing(recorded: Recorded) -> None:
    jobs = [recorded.submit(steps=1) for _ in range(4)]
    recorded.system.empty_broker()
    recorded.system.repeat_messages()
    assert [recorded.end_of(job_id)["attempts"] for job_id in jobs] == [1] * 4
