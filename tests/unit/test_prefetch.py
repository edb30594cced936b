"""What is done for the next jobs while one runs, and that it leaves the running one alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from ecurie.domain import GenerationRequest
from ecurie.engine import stack as stack_module
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.residency import Budgets
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from ecurie.jobs.schedule import Held, Waiting, choose, foresee, stack_of
from ecurie.jobs.store import JobStore, New
from ecurie.worker import prefetch
from ecurie.worker.prefetch import AHEAD, Prefetcher
from tests.unit.conftest import ignore, make_request

NEXT = make_request(model="pony-xl-v6", steps=2, loras=[{"name": "style-anime"}, {"name": "ink-sketch"}])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield store
    store.close()


def add(store: JobStore, *requests: GenerationRequest) -> list[str]:
    return store.add_all([New(one, stack_of(one)) for one in requests], priority=0, max_queue=100)


def test_the_jobs_foreseen_are_those_chosen_one_after_the_other() -> None:
    waiting = [Waiting(f"{seq}", seq, seq % 2, "ab"[seq % 3 == 0], "xy"[seq % 5 == 0]) for seq in range(30)]
    held, left, chosen = Held("a", "x", 0.0), list(waiting), []
    while (one := choose(left, held, 100.0, 60.0)) is not None:
        chosen.append(one.id)
        left.remove(one)
        held = held.after(one.model, one.stack, 100.0)
    for count in (5, 100):
        foreseen = foresee(waiting, Held("a", "x", 0.0), 100.0, 60.0, count)
        assert [job.id for job in foreseen] == chosen[:count]


def test_looking_ahead_takes_nothing(store: JobStore) -> None:
    ids = add(store, NEXT, make_request(), make_request(seed=8))
    seen = store.claims.upcoming(Held("sdxl-base", "", time.time()), 2, max_overtake=60)
    assert seen == [(ids[1], make_request()), (ids[2], make_request(seed=8))]
    assert store.counts()["queued"] == 3
    assert store.claims.upcoming(Held(), 5, max_overtake=60)[0][0] == ids[0]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "LOOK_SECONDS", 0.01)


def test_each_of_the_next_jobs_is_got_ready_once_while_the_running_one_draws(store: JobStore) -> None:
    add(store, *(make_request(seed=seed) for seed in range(AHEAD + 2)))
    seen: list[int] = []
    drawing = threading.Event()

    def get_ready(request: GenerationRequest, check: Callable[[], None]) -> int:
        check()
        seen.append(request.seed)
        if request.seed == 1:
            raise OSError("the disk is broken")
        return 0

    prefetcher = Prefetcher(store.claims, get_ready, 60)
    with prefetcher.beside(Held(), drawing.is_set):
        time.sleep(0.1)
        assert seen == []
        drawing.set()
        wait_until(lambda: len(seen) == AHEAD)
        time.sleep(0.1)
    assert sorted(seen) == list(range(AHEAD))


def test_it_ends_with_the_job_and_is_taken_up_beside_the_next(store: JobStore) -> None:
    (job_id,) = add(store, NEXT)
    began, whole = threading.Event(), threading.Event()

    def get_ready(_request: GenerationRequest, check: Callable[[], None]) -> int:
        began.set()
        while not whole.is_set():
            check()
            time.sleep(0.005)
        return 0

    prefetcher = Prefetcher(store.claims, get_ready, 60)
    with prefetcher.beside(Held(), lambda: True):
        assert began.wait(30)
        before = time.monotonic()
    assert time.monotonic() - before < 0.5
    time.sleep(0.1)
    began.clear()
    whole.set()
    with prefetcher.beside(Held(), lambda: True):
        assert began.wait(30)
        wait_until(lambda: job_id in prefetcher._done)


def made(engine: Engine, folder: Path, request: GenerationRequest) -> tuple[bytes, float]:
    outputs = OutputFolder(LocalFolder(folder), "job", datetime(2026, 11, 26, tzinfo=UTC))
    result = engine.run(request, outputs, ignore)
    return (folder / result.images[0].filename).read_bytes(), result.report.read


def test_what_was_got_ready_is_not_read_again_and_changes_no_picture(
    compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a job of another model, over and over, on another thread."""
    running = make_request(steps=12, loras=[{"name": "character-detailed"}])
    alone = Engine(compute, Budgets(10**12, 0))
    expected = [made(alone, tmp_path, request)[0] for request in (running, NEXT)]
    readers: list[str] = []
    load = stack_module.load_adapter

    def noted(described: object, sha256: str) -> object:
        readers.append(threading.current_thread().name)
        return load(described, sha256)  # type: ignore[arg-type]

    monkeypatch.setattr(stack_module, "load_adapter", noted)
    engine, threads = Engine(compute, Budgets(10**12, 0)), torch.get_num_threads()
    ended, rounds = threading.Event(), 0

    def read_ahead() -> None:
        nonlocal rounds
        while not ended.is_set():
            engine.get_ready(NEXT, lambda: None)
            rounds += 1

    thread = threading.Thread(target=read_ahead, name="ahead")
    thread.start()
    first = made(engine, tmp_path, running)[0]
    ended.set()
    thread.join()
    assert rounds > 1
    assert torch.get_num_threads() == threads
    assert [first, made(engine, tmp_path, NEXT)[0]] == expected
    assert sorted(readers) == sorted([threading.main_thread().name, "ahead", "ahead"])


def test_the_running_models_files_are_left_their_room(
    compute: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(compute, Budgets(10**12, 0))
    made(engine, tmp_path, make_request(steps=1))
    held = sum(file.stat().st_size for file in engine._residency.files())
    assert held > 1_000_000
    asked: list[int] = []
    monkeypatch.setattr("ecurie.engine.ahead.free_ram", lambda: 5 << 30)
    monkeypatch.setattr("ecurie.engine.ahead.read_ahead", lambda _file, most, _check: asked.append(most) or 0)
    engine.get_ready(NEXT, lambda: None)
    assert asked[0] == (5 << 30) - (1 << 30) - held
    assert asked == sorted(asked, reverse=True)
    asked.clear()
    engine.get_ready(make_request(), lambda: None)
    assert asked == []
