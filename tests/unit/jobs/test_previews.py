"""Previews are there while a job runs and belong to its worker; with its end they are gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sql

from ecurie.domain import JobFailure, JobState, Preview, Progress
from ecurie.errors import LeaseLost
from ecurie.jobs.claims import Claim
from ecurie.jobs.store import JobStore
from ecurie.jobs.table import previews
from tests.unit.jobs.test_store import RESULT, add, claim, held


def kept(store: JobStore) -> int:
    with store.database.connect() as connection:
        return connection.execute(sql.select(sql.func.count()).select_from(previews)).scalar_one()


def show(store: JobStore, taken: Claim, step: int) -> Preview:
    preview = Preview(step, f"picture {step}".encode())
    store.claims.report(taken, Progress("denoising", step, 60, preview=preview))
    return preview


def test_the_newest_preview_is_shown_with_the_running_job_alone(store: JobStore) -> None:
    job_id, taken = add(store), claim(store)
    assert store.get(job_id).progress.preview is None
    show(store, taken, 1)
    second = show(store, taken, 2)
    store.claims.report(taken, Progress("denoising", 3, 60))
    progress = store.get(job_id).progress
    assert (progress, progress.preview) == (Progress("denoising", 3, 60), second)
    assert kept(store) == 1
    (listed,) = store.latest(10, JobState.RUNNING)
    assert listed.progress.preview is None


ENDS: list[Callable[[JobStore, Claim], object]] = [
    lambda store, taken: store.claims.succeed(taken, RESULT),
    lambda store, taken: store.claims.fail(taken, JobFailure("generation-failed", "odd")),
    lambda store, taken: store.claims.end_cancelled(taken),
    lambda store, taken: store.claims.give_back(taken),
]


@pytest.mark.parametrize("end", ENDS)
def test_nothing_of_it_remains_when_the_job_leaves_its_worker(
    end: Callable[[JobStore, Claim], object], store: JobStore
) -> None:
    job_id, taken = add(store), claim(store)
    show(store, taken, 1)
    end(store, taken)
    assert kept(store) == 0
    assert store.get(job_id).progress.preview is None
    with pytest.raises(LeaseLost):
        show(store, taken, 2)
    assert kept(store) == 0


TAKEN_AWAY: list[Callable[[JobStore], object]] = [
    lambda store: store.leases.reap(held(store), 1),
    lambda store: store.leases.reap(held(store), 3),
    lambda store: store.leases.return_to_queue(held(store)),
]


@pytest.mark.parametrize("take_away", TAKEN_AWAY)
def test_a_job_that_is_taken_away_shows_none_and_the_next_sweep_removes_it(
    take_away: Callable[[JobStore], object], store: JobStore
) -> None:
    job_id, taken = add(store), claim(store)
    show(store, taken, 1)
    take_away(store)
    assert store.get(job_id).progress.preview is None
    store.leases.forget_previews()
    assert kept(store) == 0


def test_what_a_dead_process_left_is_taken_away_and_running_jobs_keep_theirs(
    store: JobStore, tmp_path: Path
) -> None:
    add(store)
    show(store, claim(store), 1)
    with store.database.connect() as connection:
        connection.execute(previews.insert().values(job_id="gone", step=1, image=b"x", written_at=0.0))
    store.leases.forget_previews()
    assert kept(store) == 1
