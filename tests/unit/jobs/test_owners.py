"""Whose the files are."""

from __future__ import annotations

import dataclasses
import time

from ecurie.domain import ImageFile
from ecurie.jobs.ended import EndedJobs
from ecurie.jobs.owners import Owners
from ecurie.jobs.store import JobStore
from tests.unit.jobs.test_store import REQUEST, RESULT, claim

TWO = dataclasses.replace(RESULT, images=tuple(ImageFile(f"{name}.png", 7, 64, 64) for name in "ab"))


def test_an_image_is_its_job_s_owner_s_also_when_the_job_is_forgotten(store: JobStore) -> None:
    owners, ended = Owners(store.database), EndedJobs(store.database)
    store.add(REQUEST, priority=0, stack="", max_queue=10, owner="anna")
    held = claim(store)
    assert owners.of_output("a.png") == ""
    store.claims.succeed(held, TWO)
    store.claims.succeed(held, TWO)
    assert [owners.of_output(f"{name}.png") for name in "abc"] == ["anna", "anna", ""]
    later = time.time() + 1
    assert ended.remove_jobs_before(later, images_must_be_gone=False) == 1
    assert owners.of_output("a.png") == "anna"


def test_with_an_image_its_owner_is_forgotten(store: JobStore) -> None:
    owners, ended = Owners(store.database), EndedJobs(store.database)
    store.add(REQUEST, priority=0, stack="", max_queue=10, owner="anna")
    store.claims.succeed(claim(store), TWO)
    ended.images_removed(ended.images_before(time.time() + 1))
    assert owners.of_output("a.png") == ""


def test_a_picture_may_be_many_owners_until_the_last_withdraws(store: JobStore) -> None:
    owners = Owners(store.database)
    for owner in ("anna", "ben", "anna", ""):
        owners.note_sent("f" * 32, owner)
    assert [owners.has_sent("f" * 32, owner) for owner in ("anna", "ben", "", "carl")] == [True] * 3 + [False]
    assert not owners.withdraw("f" * 32, "anna")
    assert not owners.has_sent("f" * 32, "anna")
    assert not owners.withdraw("f" * 32, "ben")
    assert owners.withdraw("f" * 32, "")
    owners.note_sent("e" * 32, "anna")
    owners.forget_uploads([])
    owners.forget_uploads({"e" * 32, "d" * 32})
    assert not owners.has_sent("e" * 32, "anna")
