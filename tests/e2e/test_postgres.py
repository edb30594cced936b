"""A server with its jobs in PostgreSQL: classes of priority, and a database that goes and comes back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Server, StartServer, free_port
from tests.services import PostgresServer, postgres_server


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server(free_port) as started:
        yield started


@pytest.fixture(scope="module")
def on_postgres(postgres: PostgresServer, module_servers: StartServer) -> Server:
    return module_servers(ECURIE_DATABASE_URL=postgres.url)


def test_jobs_wait_by_class_and_may_change_it(on_postgres: Server) -> None:
    client = on_postgres.client
    running = on_postgres.submit(steps=150, num_images=16)
    on_postgres.wait_for(running, "running")
    normal, batch, urgent = (
        on_postgres.submit(steps=1, **fields)
        for fields in ({}, {"priority": "batch"}, {"priority": "interactive"})
    )
    sweep = client.post(
        "/sweeps", json={"request": {"prompt": "cat", "steps": 1}, "x": {"field": "seed", "values": [1, 2]}}
    ).json()
    cell = sweep["cells"][0]["job_id"]

    def told(*job_ids: str) -> list[tuple[str, int]]:
        return [(job["priority"], job["queue_position"]) for job in map(on_postgres.job, job_ids)]

    assert told(urgent, normal, batch) == [("interactive", 1), ("normal", 2), ("batch", 3)]
    assert told(cell)[0][0] == "batch"
    moved = client.patch(f"/jobs/{batch}", json={"priority": "interactive"})
    assert (moved.status_code, moved.json()["queue_position"]) == (200, 2)
    assert told(urgent, batch, normal) == [("interactive", 1), ("interactive", 2), ("normal", 3)]
    refused = client.patch(f"/jobs/{running}", json={"priority": "batch"})
    assert (refused.status_code, refused.json()["code"]) == (409, "job-started")
    assert client.patch(f"/jobs/{urgent}", json={"priority": "now"}).status_code == 422
    client.delete(f"/jobs/{running}")
    for job_id in (urgent, batch, normal, cell):
        on_postgres.wait_for(job_id, "succeeded")
    started = [on_postgres.job(job_id)["started_at"] for job_id in (urgent, batch, normal, cell)]
    assert started == sorted(started)


@pytest.mark.parametrize("where", ["in the request", "as an axis"])
def test_a_sweep_has_one_class_for_all_its_cells(on_postgres: Server, where: str) -> None:
    body = {"request": {"prompt": "cat"}, "x": {"field": "seed", "values": [1]}}
    if where == "in the request":
        body["request"]["priority"] = "normal"  # type: ignore[index]
    else:
        body["x"] = {"field": "priority", "values": ["normal"]}
    answer = on_postgres.client.post("/sweeps", json=body)
    assert (answer.status_code, "priority" in answer.json()["detail"]) == (422, True)


def test_a_database_that_is_restarted_stops_no_job_and_no_process(
    on_postgres: Server, postgres: PostgresServer
) -> None:
    worker = on_postgres.worker_pid()
    running, waiting = on_postgres.submit(steps=150), on_postgres.submit(steps=1)
    on_postgres.wait_for(running, "running")
    postgres.stop()
    answer = on_postgres.client.get(f"/jobs/{running}")
    assert (answer.status_code, answer.json()["code"]) == (503, "store-unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert on_postgres.client.post("/generate", json={"prompt": "cat"}).status_code == 503
    postgres.restart()
    ended = on_postgres.wait_until(
        lambda: (
            (answer := on_postgres.client.get(f"/jobs/{running}")).status_code == 200
            and answer.json()["state"] == "succeeded"
            and answer.json()
        ),
        "done",
    )
    assert (ended["attempts"], len(ended["result"]["images"])) == (1, 1)
    on_postgres.wait_for(waiting, "succeeded")
    on_postgres.wait_for(on_postgres.submit(steps=1), "succeeded")
    assert on_postgres.worker_pid() == worker


def test_the_password_is_in_no_log(on_postgres: Server, postgres: PostgresServer) -> None:
    assert ":secret@" in postgres.url
    assert "secret" not in on_postgres.log
