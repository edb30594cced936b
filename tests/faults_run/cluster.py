"""A server, two workers, a broker and a PostgreSQL, and what may happen to each of them.

The second worker reaches PostgreSQL by a network that can fail. Nobody ends a worker that is frozen: it wakes
up with a job that has been taken over.
"""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from kombu import Connection
from kombu.exceptions import OperationalError

from ecurie.jobs.celery_bell import TASK, make_app, queue_of
from tests.brokers import ClusterWorker, Services, private_services
from tests.conftest import Server, free_port
from tests.faults_run.faults import LEASE_SECONDS, LIMITS, OneMachine
from tests.faults_run.processes import kill_all, send
from tests.proxy import Proxy, proxy
from tests.services import PostgresServer, postgres_server

MODELS = ("sdxl-base", "pony-xl-v6")
URL_NAMES = {"redis": "REDIS", "rabbitmq": "AMQP"}


class Cluster(OneMachine):
    def __init__(
        self,
        server: Server,
        chance: random.Random,
        workers: list[ClusterWorker],
        postgres: PostgresServer,
        broker: Services,
        broker_name: str,
        network: Proxy,
    ):
        super().__init__(server, chance)
        self.workers, self.postgres, self.network = workers, postgres, network
        self._broker, self._broker_name = broker, broker_name
        self.store_url = f"postgresql+psycopg{postgres.url.removeprefix('postgresql')}"
        self._broker_url = broker.url(URL_NAMES[broker_name])
        self.faults = {
            "worker": self.kill_worker,
            "terminated": self.drain_worker,
            "frozen": self.freeze_worker,
            "server": self.kill_server,
            "postgres restarted": self.postgres.restart,
            "postgres killed": self.kill_postgres,
            "broker killed": self.kill_broker,
            "broker emptied": self.empty_broker,
            "messages repeated": self.repeat_messages,
            "network cut": lambda: self.network.cut(self.chance.uniform(0, 2 * LEASE_SECONDS)),
            "network refused": lambda: self.network.refuse(self.chance.uniform(0, 2 * LEASE_SECONDS)),
        }

    @property
    def log(self) -> str:
        return "\n".join([self.server.log, *(worker.log for worker in self.workers)])

    def stop(self) -> None:
        for worker in self.workers:
            worker.stop()
        self.server.stop()

    def signal_worker(self, number: signal.Signals) -> int | None:
        pid = self.chance.choice(self.workers).process.pid
        send(pid, number)
        return pid

    def kill_worker(self) -> None:
        worker = self.chance.choice(self.workers)
        worker.kill()
        worker.begin()

    def drain_worker(self) -> None:
        worker = self.chance.choice(self.workers)
        worker.stop()
        worker.begin()

    def kill_postgres(self) -> None:
        self.postgres.kill()
        self.postgres.restart()

    def kill_broker(self) -> None:
        send(self._broker.pid(self._broker_name), signal.SIGKILL)
        self._broker.start()

    def empty_broker(self) -> None:
        """All rings that wait are lost."""
        with Connection(self._broker_url) as connection:
            for model in MODELS:
                queue = connection.SimpleQueue(queue_of(model))
                queue.queue.purge()
                queue.close()

    def repeat_messages(self) -> None:
        """Rings for jobs of any state: twice now, and once late."""
        ids = [job["id"] for job in self.server.client.get("/jobs?limit=20").json()["jobs"]]
        for job_id in ids:
            self._ring(job_id)
            self._ring(job_id)
        late = threading.Timer(self.chance.uniform(1, 10), lambda: [self._ring(job_id) for job_id in ids])
        late.daemon = True
        late.start()

    def _ring(self, job_id: str) -> None:
        """Nobody minds a ring that the broker does not take."""
        with suppress(OperationalError):
            make_app(self._broker_url).send_task(TASK, args=[job_id], queue=queue_of(MODELS[0]), retry=False)


@contextmanager
def cluster(data_dir: Path, chance: random.Random, broker_name: str, **environment: str) -> Iterator[Cluster]:
    with ExitStack() as stack:
        broker = stack.enter_context(private_services(data_dir.with_name(broker_name), broker_name))
        postgres = stack.enter_context(postgres_server(free_port))
        port = urlsplit(postgres.url).port
        assert port is not None
        network = stack.enter_context(proxy(free_port(), port))
        near = {
            "ECURIE_BROKER_URL": broker.url(URL_NAMES[broker_name]),
            "ECURIE_DATABASE_URL": postgres.url,
            **LIMITS,
            **environment,
        }
        far = near | {"ECURIE_DATABASE_URL": postgres.url.replace(f":{port}/", f":{network.port}/")}
        server = Server(data_dir, free_port(), ["--demo"], near)
        stack.callback(kill_all, server)
        server.wait_until(lambda: server.client.get("/healthz").status_code == 200, "up")
        workers = [ClusterWorker(server, "--demo", **reached) for reached in (near, far)]
        for worker in workers:
            worker.wait_ready()
        yield Cluster(server, chance, workers, postgres, broker, broker_name, network)
