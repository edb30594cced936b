from __future__ import annotations

from ecurie.jobs.store import JobStore
from tests.unit.jobs.test_store import REQUEST, claim


def test_a_store_tells_whether_anything_was_written(store: JobStore, database_url: str) -> None:
    other = JobStore(database_url)
    assert store.changed()
    assert not store.changed()
    for writer in (other, store):
        writer.add(REQUEST, priority=0, stack="", max_queue=10)
        assert store.changed()
        assert not store.changed()
    assert claim(store) is not None
    assert store.changed(), "what it writes itself counts too"
    other.latest(5, None)
    assert not store.changed(), "reading is no change"
    other.close()
