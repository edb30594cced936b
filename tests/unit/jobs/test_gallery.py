"""Finished images found again, on both databases."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sql

from ecurie.domain import AdapterUse, ImageFile
from ecurie.jobs.ended import EndedJobs
from ecurie.jobs.gallery import MadeImage, Place, Wanted
from ecurie.jobs.store import JobStore
from tests.unit.jobs.test_store import REQUEST, RESULT, add, claim

ANY = Wanted()
STYLE, OTHER = (AdapterUse(name, "/x", "c3" * 32, "d4" * 6, 1, 1) for name in ("style", "style-2"))


def finish(store: JobStore, *names: str, **fields: object) -> str:
    """A job that has made images with these files."""
    job_id = add(store, **fields)
    made = tuple(ImageFile(f"{name}.png", 7, 64, 64) for name in names)
    store.claims.succeed(claim(store), dataclasses.replace(RESULT, images=made))
    return job_id


def names(found: list[MadeImage]) -> list[str]:
    return [made.file.filename.removesuffix(".png") for made in found]


def test_images_are_told_newest_first_and_page_by_page(store: JobStore) -> None:
    for job in range(4):
        finish(store, f"{job}a", f"{job}b", f"{job}c")
    add(store)
    pages, before = [], None
    while page := store.gallery.page(ANY, before, 5):
        pages.append(names(page))
        before = page[-1].place
    assert pages == [["3c", "3b", "3a", "2c", "2b"], ["2a", "1c", "1b", "1a", "0c"], ["0b", "0a"]]
    assert store.gallery.page(ANY, Place(0, 0), 5) == []
    assert names(store.gallery.page(ANY, Place(2**31 - 1, 0), 2)) == ["3c", "3b"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(("apple",)), ["c", "b", "a"]),
        (Wanted(("APPLE", "green")), ["b"]),
        (Wanted(("éclair",)), ["c"]),
        (Wanted(("100%",)), ["c"]),
        (Wanted(("1%",)), []),
        (Wanted(("gre_n",)), []),
        (Wanted(("pear",)), []),
        (Wanted(model="pony"), ["b"]),
        (Wanted(adapter="style"), ["b", "a"]),
        (Wanted(adapter="style-2"), ["b"]),
        (Wanted(adapter="tyle"), []),
        (Wanted(("apple",), "sdxl-base", "style"), ["a"]),
        (Wanted(owner=""), ["c", "b", "a"]),
        (Wanted(owner="other"), []),
    ],
)
def test_they_are_found_by_words_model_adapter_and_owner(
    store: JobStore, wanted: Wanted, found: list[str]
) -> None:
    finish(store, "a", prompt="red apple", adapters=(STYLE,))
    finish(store, "b", prompt="Green APPLE", model="pony", adapters=(STYLE, OTHER))
    finish(store, "c", prompt="an Éclair, apple, 100% sweet")
    assert names(store.gallery.page(wanted, None, 9)) == found


def test_a_request_that_was_settled_later_is_found_by_its_adapters_names_here(store: JobStore) -> None:
    add(store, unsettled="{}", adapters=(dataclasses.replace(STYLE, name="Style File"),))
    held = claim(store)
    store.claims.settle(held, dataclasses.replace(REQUEST, adapters=(STYLE,)), "")
    store.claims.succeed(held, RESULT)
    assert len(store.gallery.page(Wanted(adapter="style"), None, 9)) == 2
    assert store.gallery.page(Wanted(adapter="Style File"), None, 9) == []


def test_an_image_is_found_by_its_file_and_the_moment_of_its_job(store: JobStore) -> None:
    job_id = finish(store, "a", "b")
    finish(store, "c")
    sent = store.get(job_id).created_at.replace(microsecond=0)
    found = store.gallery.find("b.png", sent)
    assert found is not None
    assert (found.job.id, found.index, found.deleted) == (job_id, 1, False)
    assert store.gallery.find("b.png", sent + timedelta(seconds=1)) is None
    assert store.gallery.find("x.png", sent) is None
    assert store.gallery.find("b.png", datetime(2020, 1, 1, tzinfo=UTC)) is None


def test_a_deleted_image_is_not_told_and_with_the_last_the_job_has_none(store: JobStore) -> None:
    finish(store, "a", "b")
    later, sooner = store.gallery.page(ANY, None, 9)
    store.gallery.forget("b.png", later)
    store.gallery.forget("b.png", later)
    assert names(store.gallery.page(ANY, None, 9)) == ["a"]
    found = store.gallery.find("b.png", later.job.created_at.replace(microsecond=0))
    assert found is not None
    assert found.deleted
    ended = EndedJobs(store.database)
    assert len(ended.images_before(9e9)) == 1
    store.gallery.forget("a.png", sooner)
    assert store.gallery.page(ANY, None, 9) == []
    assert ended.images_before(9e9) == {}


def test_a_search_on_sqlite_reads_the_index_alone(store: JobStore) -> None:
    if store.database.dialect.name != "sqlite":
        return
    seen: list[str] = []
    sql.event.listen(store.database, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))
    store.gallery.page(Wanted(("apple",), "m", "a", "o"), Place(5, 1), 9)
    ((statement, values),) = seen
    with store.database.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert any("COVERING INDEX gallery" in row[3] for row in plan), plan
