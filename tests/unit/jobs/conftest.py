"""The store's tests run on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ecurie.jobs.database import open_database
from ecurie.jobs.store import JobStore
from tests.services import new_database

DRIVER = "postgresql+psycopg"


@contextmanager
def postgres_database(server_url: str, template: str = "template1") -> Iterator[str]:
    with new_database(server_url, template) as url:
        yield f"{DRIVER}://{url.partition('://')[2]}"


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> Iterator[str]:
    """The name of a database with the newest tables, which tests copy: faster than to migrate each."""
    with postgres_database(postgres_url) as url:
        open_database(url).dispose()
        yield url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLAlchemy's, of a database that nobody else uses."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'jobs.db'}"
        return
    template = request.getfixturevalue("postgres_template")
    with postgres_database(request.getfixturevalue("postgres_url"), template) as url:
        yield url


@pytest.fixture
def store(database_url: str) -> Iterator[JobStore]:
    store = JobStore(database_url)
    yield store
    store.close()
