"""A server and workers of its own, with Celery between them and the jobs in PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from kombu import Connection

from ecurie.jobs.celery_bell import TASK, make_app, queue_of
from tests.brokers import ClusterWorker, broker, private_services
from tests.conftest import DEMO_FOLDER, Server, StartServer, free_port, servers
from tests.services import new_database

BASE, PONY = "sdxl-base", "pony-xl-v6"
LEASE = {"ECURIE_LEASE_SECONDS": "3"}


class Cluster:
    """A server without workers of its own, and what reaches its broker and its jobs."""

    def __init__(self, server: Server, environment: dict[str, str]):
        self.server, self.environment = server, environment
        self.broker_url = environment["ECURIE_BROKER_URL"]
        self.workers: list[ClusterWorker] = []

    def worker(self, *arguments: str) -> ClusterWorker:
        """Starting; `wait_ready` waits."""
        self.workers.append(ClusterWorker(self.server, *arguments, **self.environment))
        return self.workers[-1]

    def send(self, model: str, *arguments: Any) -> None:
        make_app(self.broker_url).send_task(TASK, args=arguments, queue=queue_of(model))

    def purge(self, model: str) -> int:
        """Lose the rings that wait in the broker; how many there were."""
        with Connection(self.broker_url) as connection:
            queue = connection.SimpleQueue(queue_of(model))
            lost: int = queue.queue.purge()
            queue.close()
            return lost

    def celery(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "ecurie.worker.console", *arguments],
            env={**os.environ, **self.environment, "FLOWER_UNAUTHENTICATED_API": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@contextmanager
def clusters(
    start: StartServer, postgres_url: str, broker_url: str, *arguments: str, **environment: str
) -> Iterator[Cluster]:
    with new_database(postgres_url) as database_url:
        given = {
            "ECURIE_BROKER_URL": broker_url,
            "ECURIE_DATABASE_URL": database_url,
            **LEASE,
            **environment,
        }
        demo = "ECURIE_CATALOG" not in environment
        cluster = Cluster(start(*arguments, demo=demo, ready=False, **given), given)
        try:
            yield cluster
        finally:
            for worker in cluster.workers:
                worker.stop()
            cluster.server.stop()


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    with servers(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def pair(
    own_servers: StartServer, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Over Redis; the first worker serves the base, the second the other model."""
    with (
        broker("redis", tmp_path_factory.mktemp("redis")) as url,
        clusters(own_servers, postgres_url, url) as cluster,
    ):
        for model in (BASE, PONY):
            cluster.worker("--demo", "--models", model)
        for worker in cluster.workers:
            worker.wait_ready()
        yield cluster


@pytest.fixture(scope="module")
def alone(
    own_servers: StartServer, postgres_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Over RabbitMQ; one worker serves whatever its catalogue holds."""
    catalog = tmp_path_factory.mktemp("catalog") / "ecurie.yaml"
    catalog.write_text(
        f"defaults: {{model: {BASE}}}\nmodels:\n  {BASE}: {{name: Base, source: {DEMO_FOLDER}}}\n"
    )
    with (
        broker("rabbitmq", tmp_path_factory.mktemp("rabbitmq")) as url,
        clusters(own_servers, postgres_url, url, ECURIE_CATALOG=str(catalog)) as cluster,
    ):
        cluster.worker().wait_ready()
        yield cluster


@pytest.fixture(params=["pair", "alone"])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    found: Cluster = request.getfixturevalue(request.param)
    return found


def ran(worker: ClusterWorker, job_id: str) -> int:
    """How many times a worker took a job."""
    return worker.log.count(f"job {job_id}: run ")


def outputs_of(server: Server, job: dict[str, Any]) -> list[str]:
    """Every file that runs of a job have written: their names come from its id and time."""
    (image,) = job["result"]["images"]
    return [file.name for file in (server.data_dir / "outputs").glob(f"{image['filename'][:-4]}*")]


def test_a_job_runs_on_a_worker_that_is_rung_for(cluster: Cluster) -> None:
    server, worker = cluster.server, cluster.workers[0]
    job_id = server.submit(steps=2)
    job = server.wait_for(job_id, "succeeded", "failed")
    assert (job["state"], job["attempts"], ran(worker, job_id)) == ("succeeded", 1, 1)
    assert f"rung for job {job_id}" in worker.log
    assert server.client.get(job["result"]["images"][0]["url"]).content.startswith(b"\x89PNG")
    told = {row["name"]: row for row in server.client.get("/system").json()["workers"]}
    assert set(told) == {worker.name for worker in cluster.workers}
    row = told[worker.name]
    assert (row["pid"], row["device"], row["serves"]) == (worker.process.pid, "cpu", [BASE])
    assert (BASE in row["on_disk"], row["models"][0]["id"]) == (True, BASE)
    assert "ecurie.worker" not in server.log


def test_rings_that_come_twice_late_or_for_nothing_change_nothing(cluster: Cluster) -> None:
    server, worker = cluster.server, cluster.workers[0]
    ended = server.submit(steps=1)
    server.wait_for(ended, "succeeded")
    job_id = server.submit(steps=30)
    for arguments in ([job_id], [job_id], [ended], ["no-such-job"], [], [{"a": 1}], [1, 2, 3]):
        cluster.send(BASE, *arguments)
    job = server.wait_for(job_id, "succeeded", "failed")
    assert (job["state"], job["attempts"], ran(worker, job_id)) == ("succeeded", 1, 1)
    assert len(outputs_of(server, job)) == 1
    assert server.wait_for(server.submit(steps=1), "succeeded")["attempts"] == 1
    assert (ran(worker, ended), server.job(ended)["attempts"]) == (1, 1)


class Program:
    """Read as a pickle, it makes a file."""

    def __init__(self, canary: Path):
        self._canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._canary,))


def test_a_pickle_in_a_message_is_never_read(cluster: Cluster, tmp_path: Path) -> None:
    canary, server = tmp_path / "canary", cluster.server
    with Connection(cluster.broker_url) as connection:
        producer = connection.Producer(serializer="pickle")
        headers = {"lang": "py", "task": TASK, "id": "1", "root_id": "1"}
        for body in (Program(canary), ([Program(canary)], {}, {})):
            producer.publish(body, routing_key=queue_of(BASE), headers=headers)
    assert server.wait_for(server.submit(steps=1), "succeeded")
    log = cluster.workers[0].log
    assert "untrusted content" in log or "ContentDisallowed" in log
    assert not canary.exists()


def test_when_the_broker_loses_everything_the_jobs_still_end(cluster: Cluster) -> None:
    server, worker = cluster.server, cluster.workers[0]
    os.kill(worker.process.pid, signal.SIGSTOP)
    jobs = [server.submit(steps=1) for _ in range(6)]
    lost = server.wait_until(lambda: cluster.purge(BASE), "rung for")
    os.kill(worker.process.pid, signal.SIGCONT)
    assert lost >= 1
    assert [server.wait_for(job_id, "succeeded")["attempts"] for job_id in jobs] == [1] * 6


def test_celery_s_own_tools_see_a_worker_while_it_draws(pair: Cluster) -> None:
    server, worker = pair.server, pair.workers[0]
    port = free_port()
    flower = pair.celery("flower", "--address=127.0.0.1", f"--port={port}")
    try:
        job_id = server.submit(steps=150, num_images=4)
        server.wait_for(job_id, "running")
        node = f"{worker.name}@{socket.gethostname()}"
        shown, errors = pair.celery(
            "inspect", "ping", "--json", "--timeout=20", f"--destination={node}"
        ).communicate(timeout=60)
        assert json.loads(shown or "{}") == {node: {"ok": "pong"}}, errors
        ask = make_app(pair.broker_url).control.inspect(destination=[node], timeout=20)
        (active,) = ask.active()[node]
        assert (active["name"], active["acknowledged"]) == (TASK, False)
        assert ask.registered() == {node: [TASK]}
        assert [queue["name"] for queue in ask.active_queues()[node]] == [queue_of(BASE)]
        assert server.job(job_id)["state"] == "running"

        def listed() -> bool:
            found = httpx2.get(f"http://127.0.0.1:{port}/api/workers?status=true", trust_env=False)
            return any(name.startswith(worker.name) and up for name, up in found.json().items())

        server.wait_until(listed, "in Flower")
        server.client.delete(f"/jobs/{job_id}")
        server.wait_for(job_id, "cancelled")
    finally:
        flower.terminate()
        flower.communicate(timeout=20)


@pytest.fixture
def pony(pair: Cluster) -> ClusterWorker:
    """The worker that tests end; started again where the one before left none."""
    worker = pair.workers[1]
    if worker.process.poll() is not None:
        worker.restart()
    return worker


def test_a_killed_worker_s_job_runs_again_on_a_worker_of_its_model(
    pair: Cluster, pony: ClusterWorker
) -> None:
    server, base = pair.server, pair.workers[0]
    job_id = server.submit(model=PONY, steps=40, seed=1)
    server.wait_for(job_id, "running")
    pony.kill()
    waiting = server.submit(model=PONY, steps=1)
    others = [server.submit(model=BASE, steps=1) for _ in range(3)]
    for other in others:
        server.wait_for(other, "succeeded")
    server.wait_for(job_id, "queued")
    pair.send(BASE, waiting)
    server.wait_for(server.submit(model=BASE, steps=1), "succeeded")
    assert server.job(waiting)["state"] == "queued"
    pony.restart()
    job = server.wait_for(job_id, "succeeded", "failed")
    assert (job["state"], job["attempts"], ran(pony, job_id)) == ("succeeded", 2, 2)
    assert len(outputs_of(server, job)) == 1
    assert server.wait_for(waiting, "succeeded")["attempts"] == 1
    assert [ran(base, one) for one in (job_id, waiting)] == [0, 0]
    assert [ran(pony, one) for one in others] == [0, 0, 0]


def test_a_stopped_worker_finishes_its_job_or_gives_it_back(pair: Cluster, pony: ClusterWorker) -> None:
    server = pair.server
    short = server.submit(model=PONY, steps=20)
    server.wait_for(short, "running", "succeeded")
    assert pony.stop() == 0, pony.log
    job = server.job(short)
    assert (job["state"], job["attempts"]) == ("succeeded", 1), pony.log
    pony.restart()
    long = server.submit(model=PONY, steps=150, num_images=8)
    server.wait_for(long, "running")
    began = time.monotonic()
    assert pony.stop() == 0, pony.log
    assert time.monotonic() - began < 20
    job = server.job(long)
    assert (job["state"], job["attempts"]) == ("queued", 0), pony.log
    assert pony.name not in [row["name"] for row in server.client.get("/system").json()["workers"]]
    server.client.delete(f"/jobs/{long}")


def test_models_that_are_added_later_are_served_too(alone: Cluster) -> None:
    server = alone.server
    catalog = Path(alone.environment["ECURIE_CATALOG"])
    catalog.write_text(catalog.read_text() + f"  mine: {{name: Mine, source: {DEMO_FOLDER}}}\n")
    job = server.wait_for(server.submit(model="mine", steps=1), "succeeded", "failed")
    assert job["state"] == "succeeded"
    (row,) = server.client.get("/system").json()["workers"]
    assert row["serves"] == [BASE, "mine"]


def test_a_broker_that_is_away_refuses_and_loses_no_job(start_server: StartServer, tmp_path: Path) -> None:
    """And on one machine SQLite will do."""
    with private_services(tmp_path / "services", "redis") as services:
        url = services.url("REDIS")
        environment = {"ECURIE_BROKER_URL": url, **LEASE}
        server = start_server(ready=False, **environment)
        worker = ClusterWorker(server, "--demo", **environment)
        try:
            worker.wait_ready()
            running = server.submit(steps=80)
            server.wait_for(running, "running")
            os.kill(services.pid("redis"), signal.SIGKILL)
            began = time.monotonic()
            jobs = [server.submit(steps=1) for _ in range(3)]
            assert time.monotonic() - began < 5
            server.wait_until(lambda: "the broker cannot be reached" in server.log, "without a broker")
            assert server.wait_for(running, "succeeded")["attempts"] == 1
            services.start()
            assert services.url("REDIS") == url
            jobs.append(server.submit(steps=1))
            assert [server.wait_for(job_id, "succeeded")["attempts"] for job_id in jobs] == [1] * 4
            assert ran(worker, running) == 1
        finally:
            worker.stop()
