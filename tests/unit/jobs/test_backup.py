"""The backups that docs/operations.md describes, of a store that is in use."""

from __future__ import annotations

import sqlite3
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sql

from ecurie.domain import JobState
from ecurie.errors import SetupError
from ecurie.jobs.store import JobStore
from tests.services import new_database, postgres_binaries
from tests.unit.jobs.conftest import DRIVER
from tests.unit.jobs.test_store import RESULT, add, claim


def fill(store: JobStore) -> dict[str, JobState]:
    """A job of each kind, by id, as they are in the table."""
    done, running, waiting = (add(store) for _ in range(3))
    store.claims.succeed(claim(store), RESULT)
    claim(store)
    return {done: JobState.SUCCEEDED, running: JobState.PREPARING, waiting: JobState.QUEUED}


def test_a_copy_of_the_sqlite_table_is_a_store(tmp_path: Path) -> None:
    store = JobStore(f"sqlite:///{tmp_path / 'ecurie.db'}")
    expected = fill(store)
    with sqlite3.connect(tmp_path / "ecurie.db") as connection:
        connection.execute(f"VACUUM INTO '{tmp_path / 'backup.db'}'")
    connection.close()
    add(store)
    store.close()
    check(JobStore(f"sqlite:///{tmp_path / 'backup.db'}"), expected)


def test_a_dump_of_postgresql_is_a_store(postgres_url: str, postgres_template: str, tmp_path: Path) -> None:
    binaries, dump = postgres_binaries(), tmp_path / "ecurie.dump"
    assert binaries is not None
    with new_database(postgres_url, postgres_template) as url, new_database(postgres_url) as other:
        store = JobStore(f"{DRIVER}://{url.partition('://')[2]}")
        expected = fill(store)
        subprocess.run([binaries / "pg_dump", "--format=custom", f"--file={dump}", url], check=True)
        add(store)
        store.close()
        subprocess.run(
            [binaries / "pg_restore", "--clean", "--if-exists", f"--dbname={other}", dump], check=True
        )
        check(JobStore(f"{DRIVER}://{other.partition('://')[2]}"), expected)


def check(restored: JobStore, expected: dict[str, JobState]) -> None:
    assert {job.id: job.state for job in restored.latest(10, None)} == expected
    (held,) = restored.leases.held()
    assert restored.leases.reap(held, max_attempts=3)
    assert claim(restored).job.id == held.id
    restored.close()


def test_a_table_of_a_newer_version_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ecurie.db'}"
    JobStore(url).close()
    engine = sql.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sql.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(SetupError, match="newer"):
        JobStore(url)
