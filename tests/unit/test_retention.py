"""What is old goes, with a real store and real files; what is needed stays."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
import sqlalchemy as sql

from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.domain import LOCAL, ImageFile, JobFailure, JobState
from ecurie.errors import UnknownJob, UnknownOutput, UnknownSweep
from ecurie.images.storage import LocalFolder
from ecurie.images.uploads import Pictures
from ecurie.jobs.doorbell import NoBell
from ecurie.jobs.ended import BATCH, EndedJobs
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore, New
from ecurie.jobs.sweeps import SweepStore
from ecurie.jobs.table import jobs, sweeps
from ecurie.retention import DAY, Keep, Retention
from ecurie.service import Limits, Service
from tests.unit.api.serving import UPLOADS
from tests.unit.jobs.conftest import database_url, postgres_template, store
from tests.unit.jobs.test_store import REQUEST, RESULT

__all__ = ["database_url", "postgres_template", "store"]

NOW = time.time()


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


@pytest.fixture
def service(store: JobStore, outputs: Path) -> Service:
    images = LocalFolder(outputs)
    pictures = Pictures(LocalFolder(outputs.parent / "uploads"), images, UPLOADS)
    limits = Limits(max_queue=10_000, max_pixels=10**9, keep_outputs_days=2)
    catalog = Catalog(BUILTIN["demo"], outputs.parent / "models")
    return Service(catalog, store, NoBell(), images, limits, pictures)


def retention(service: Service, *, outputs: float = 0, jobs: float = 0) -> Retention:
    ended = EndedJobs(service.store.database)
    keep = Keep(outputs, jobs, uploads=0)
    return Retention(ended, keep, service.outputs.remove, service.remove_old_pictures)


def name(number: int, days: float) -> str:
    return f"sdxl-base_{time.strftime('%Y%m%d_%H%M%S', time.gmtime(NOW - days * DAY))}_{number:08x}.png"


def ended(store: JobStore, folder: Path, days: float, count: int = 1, **new: object) -> dict[str, str]:
    """The images of jobs that succeeded so many days ago, by their job's id."""
    ids = store.add_all([New(REQUEST, "")] * count, priority=0, max_queue=10_000, **new)  # type: ignore[arg-type]
    made = {job_id: name(number, days) for number, job_id in enumerate(ids)}
    while claim := store.claims.take("w1", Held(), lease_seconds=30, max_overtake=0):
        filename = made[claim.job.id]
        (folder / filename).touch()
        image = ImageFile(filename, 7, 64, 64)
        store.claims.succeed(claim, dataclasses.replace(RESULT, images=(image,)))
    with store.database.connect() as connection:
        age = sql.update(jobs).where(jobs.c.id.in_(ids)).values(finished_at=NOW - days * DAY)
        connection.execute(age)
    return made


def test_nothing_goes_unless_it_is_asked_for(service: Service, store: JobStore, outputs: Path) -> None:
    made = ended(store, outputs, days=1000)
    retention(service).apply(NOW)
    assert [store.get(job_id).state for job_id in made] == [JobState.SUCCEEDED]
    assert [file.name for file in outputs.iterdir()] == list(made.values())


def test_old_images_go_and_their_jobs_stay(service: Service, store: JobStore, outputs: Path) -> None:
    old, young = ended(store, outputs, days=3), ended(store, outputs, days=1)
    retention(service, outputs=2).apply(NOW)
    assert [file.name for file in outputs.iterdir()] == list(young.values())
    ((job_id, filename),) = old.items()
    assert store.get(job_id).result is not None
    with pytest.raises(UnknownOutput, match="was removed: images are kept for 2 days"):
        service.output(filename, LOCAL)
    with pytest.raises(UnknownOutput, match="there is no output"):
        service.output(name(99, days=1), LOCAL)


def test_old_jobs_go_and_images_that_are_kept_for_ever_stay(
    service: Service, store: JobStore, outputs: Path
) -> None:
    """More than a batch of them."""
    old, young = ended(store, outputs, days=3, count=BATCH + 5), ended(store, outputs, days=1)
    waiting = store.add(REQUEST, priority=0, stack="", max_queue=10_000).id
    retention(service, jobs=2).apply(NOW)
    for job_id in old:
        with pytest.raises(UnknownJob):
            store.get(job_id)
    assert {job.id for job in store.latest(500, None)} == {*young, waiting}
    assert len(list(outputs.iterdir())) == len(old) + len(young)


def test_jobs_of_the_last_day_stay_since_limits_count_them(
    service: Service, store: JobStore, outputs: Path
) -> None:
    made = ended(store, outputs, days=0.5)
    retention(service, jobs=0.1).apply(NOW)
    assert [job.id for job in store.latest(10, None)] == list(made)


def test_a_job_is_known_as_long_as_its_images_are_kept(
    service: Service, store: JobStore, outputs: Path
) -> None:
    made = ended(store, outputs, days=3)
    retention(service, jobs=2, outputs=5).apply(NOW)
    assert {job.id for job in store.latest(10, None)} == set(made)
    retention(service, jobs=2, outputs=5).apply(NOW + 3 * DAY)
    assert (store.latest(10, None), list(outputs.iterdir())) == ([], [])


def test_jobs_that_failed_or_were_cancelled_go_too(service: Service, store: JobStore) -> None:
    for _ in range(2):
        store.add(REQUEST, priority=0, stack="", max_queue=10)
    claim = store.claims.take("w1", Held(), lease_seconds=30, max_overtake=0)
    assert claim is not None
    store.claims.fail(claim, JobFailure("x", "x"))
    store.cancel(store.latest(1, None)[0].id)
    retention(service, jobs=1, outputs=1).apply(time.time() + DAY + 1)
    assert store.latest(10, None) == []


def test_a_sweep_goes_as_a_whole(service: Service, store: JobStore, outputs: Path) -> None:
    definitions = SweepStore(store.database)
    old, mixed = definitions.add("{}"), definitions.add("{}")
    with store.database.connect() as connection:
        connection.execute(sql.update(sweeps).values(created_at=NOW - 9 * DAY))
    ended(store, outputs, days=3, count=2, sweep=old.id)
    ended(store, outputs, days=3, count=2, sweep=mixed.id)
    ended(store, outputs, days=1, sweep=mixed.id)
    retention(service, jobs=2).apply(NOW)
    with pytest.raises(UnknownSweep):
        definitions.get(old.id)
    assert (store.cells(old.id), len(store.cells(mixed.id))) == ([], 3)
    assert definitions.get(mixed.id).id == mixed.id
    retention(service, jobs=2).apply(NOW + 3 * DAY)
    assert store.latest(10, None) == []
    with pytest.raises(UnknownSweep):
        definitions.get(mixed.id)


def test_a_fault_is_tried_again_at_the_next_look(
    service: Service, store: JobStore, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread outlives it."""
    made = ended(store, outputs, days=3)
    refusals = iter([True, False])

    def remove(filename: str) -> None:
        if next(refusals):
            raise OSError("the disk is away")
        (outputs / filename).unlink()

    monkeypatch.setattr("ecurie.retention.EVERY_SECONDS", 0.05)
    looking = Retention(EndedJobs(store.database), Keep(2, 0, 0), remove, lambda _days: None)
    looking.start()
    deadline = time.monotonic() + 30
    while list(outputs.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    looking.stop()
    assert list(outputs.iterdir()) == []
    assert set(made) == {job.id for job in store.latest(10, None)}
    assert os.listdir(outputs) == []
