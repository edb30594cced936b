from __future__ import annotations

from pathlib import Path

from ecurie.jobs.store import JobStore
from tests.unit.jobs.test_store import REQUEST, claim, store

__all__ = ["store"]


def test_a_store_tells_whether_anything_was_written(store: JobStore, tmp_path: Path) -> None:
    other = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
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
