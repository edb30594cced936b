"""A database of the first release, with jobs in it, becomes one of this release."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import OperationalError

import ecurie.jobs.migrations
from ecurie.domain import JobFailure, JobState, Priority, Progress
from ecurie.errors import SetupError
from ecurie.jobs.database import open_database
from ecurie.jobs.gallery import Wanted
from ecurie.jobs.rows import to_json
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore
from tests.conftest import free_port
from tests.unit.jobs.conftest import postgres_database
from tests.unit.jobs.test_store import REQUEST, RESULT

INSERT = sql.text(
    "INSERT INTO jobs (id, state, priority, model, stack, request, created_at, started_at, finished_at,"
    " attempts, worker, lease_until, cancel_requested, phase, step, total, result, failure)"
    " VALUES (:id, :state, :priority, 'sdxl-base', '', :request, 1000.5, :started, :finished,"
    " :attempts, :worker, :lease, :cancel, :phase, :step, 60, :result, :failure)"
)
FAILURE = JobFailure("storage-full", "no room", "make some")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database without any table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'jobs.db'}"
        return
    with postgres_database(request.getfixturevalue("postgres_url")) as url:
        yield url


def row(job_id: str, state: JobState, **values: object) -> dict[str, object]:
    empty = dict.fromkeys(("started", "finished", "worker", "lease", "result", "failure"))
    plain = {"priority": 0, "attempts": 0, "cancel": False, "phase": state.value, "step": 0}
    return {**empty, **plain, "id": job_id, "state": state.value, "request": to_json(REQUEST), **values}


def test_jobs_of_the_first_schema_are_still_jobs(empty_url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(ecurie.jobs.migrations.__file__).parent))
    config.set_main_option("sqlalchemy.url", empty_url.replace("%", "%%"))
    command.upgrade(config, "0001")
    held = {"started": 1001.0, "attempts": 1, "worker": "w1", "lease": time.time() - 5}
    rows = [
        row("second", JobState.QUEUED),
        row("third", JobState.QUEUED),
        row("first", JobState.QUEUED, priority=1),
        row("runs", JobState.RUNNING, step=7, **held),
        row("done", JobState.SUCCEEDED, started=1001.0, finished=1002.0, attempts=1, result=to_json(RESULT)),
        row("failed", JobState.FAILED, finished=1002.0, attempts=3, failure=to_json(FAILURE)),
        row("gone", JobState.CANCELLED, finished=1002.0, cancel=True),
    ]
    engine = sql.create_engine(empty_url)
    with engine.begin() as connection:
        for values in rows:
            connection.execute(INSERT, values)
    engine.dispose()

    store = JobStore(empty_url)
    jobs = {str(values["id"]): store.get(str(values["id"])) for values in rows}
    assert {job_id: job.state.value for job_id, job in jobs.items()} == {
        values["id"]: values["state"] for values in rows
    }
    assert all(job.request == REQUEST and job.created_at.timestamp() == 1000.5 for job in jobs.values())
    assert (jobs["done"].result, jobs["failed"].failure) == (RESULT, FAILURE)
    assert jobs["runs"].progress == Progress("running", 7, 60)
    assert jobs["first"].priority is Priority.INTERACTIVE
    assert [made.job.id for made in store.gallery.page(Wanted(("apple",)), None, 9)] == ["done"] * 2
    late = store.add(REQUEST, priority=0, stack="", max_queue=100).id
    (abandoned,) = store.leases.held()
    store.leases.reap(abandoned, max_attempts=3)
    order = []
    while claim := store.claims.take("w2", Held(), lease_seconds=30, max_overtake=60):
        order.append(claim.job.id)
        store.claims.succeed(claim, RESULT)
    assert order == ["first", "second", "third", "runs", late]
    assert store.counts()["succeeded"] == 6
    store.close()


def test_processes_that_open_a_new_database_at_once_all_succeed(postgres_url: str) -> None:
    """As servers and workers of several machines do. They migrate it one after the other."""
    program = (
        "import sys; from ecurie.jobs.database import open_database; open_database(sys.argv[1]).dispose()"
    )
    with postgres_database(postgres_url) as url:
        started = [subprocess.Popen([sys.executable, "-c", program, url]) for _ in range(3)]
        assert [process.wait(120) for process in started] == [0, 0, 0]


def test_a_database_that_is_not_there_is_said_to_be_so_without_its_password() -> None:
    url = f"postgresql+psycopg://me:s3cret@127.0.0.1:{free_port()}/jobs"
    with pytest.raises(SetupError, match=r"me:\*\*\*@127.*refused") as caught:
        open_database(url)
    assert "s3cret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OperationalError)
