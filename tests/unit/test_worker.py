"""How a worker ends its jobs, with an engine that misbehaves and a real store."""

from __future__ import annotations

import dataclasses
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sql
from PIL import Image

from ecurie.domain import GenerationRequest, JobResult, JobState, Progress, Seen
from ecurie.engine.engine import Engine
from ecurie.errors import InvalidRequest, JobCancelled, StorageFull
from ecurie.images.files import OutputFolder
from ecurie.jobs.claims import Claim
from ecurie.jobs.schedule import Held
from ecurie.jobs.store import JobStore
from ecurie.logs import Text
from ecurie.settings import load_settings
from ecurie.worker.loop import Worker
from ecurie.worker.stop import StopSign
from tests.conftest import DEMO_FOLDER
from tests.unit.jobs.test_store import REQUEST as ELSEWHERE
from tests.unit.jobs.test_store import RESULT

REQUEST = dataclasses.replace(ELSEWHERE, model_path=str(DEMO_FOLDER))

Behaviour = Callable[[Callable[[Progress], None]], JobResult]


class FakeEngine:
    def __init__(self, behaviour: Behaviour):
        self._behaviour = behaviour

    def run(
        self, _request: object, _outputs: object, listen: Callable[[Progress], None], *_others: object
    ) -> JobResult:
        return self._behaviour(listen)

    def get_ready(self, _request: object, _check: object) -> int:
        return 0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    yield store
    store.close()


def run_one(
    store: JobStore,
    tmp_path: Path,
    behaviour: Behaviour,
    request: GenerationRequest = REQUEST,
    **settings: Any,
) -> str:
    """The job's id, after the worker has done with it."""
    job_id = store.add(request, priority=0, stack="", max_queue=10).id
    options = load_settings(data_dir=tmp_path, **settings)
    worker = Worker("w1", cast(Engine, FakeEngine(behaviour)), store, options, StopSign(5))
    claim = store.claims.take("w1", Held(), lease_seconds=options.lease_seconds, max_overtake=30)
    assert claim is not None
    worker._work(claim)
    return job_id


def fail_with(error: Exception) -> Behaviour:
    def behaviour(_listen: object) -> JobResult:
        raise error

    return behaviour


@pytest.mark.parametrize(
    ("error", "state", "code"),
    [
        (JobCancelled("stop"), JobState.CANCELLED, None),
        (StorageFull("no room"), JobState.FAILED, "storage-full"),
        (RuntimeError("odd"), JobState.FAILED, "generation-failed"),
        (MemoryError(), JobState.FAILED, "generation-failed"),
    ],
)
def test_every_error_ends_the_job_and_not_the_worker(
    store: JobStore, tmp_path: Path, error: Exception, state: JobState, code: str | None
) -> None:
    job = store.get(run_one(store, tmp_path, fail_with(error)))
    assert (job.state, job.failure and job.failure.code) == (state, code)


def test_an_outcome_that_cannot_be_written_is_written_later(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store is on the full disk too: the job does not run again, and the worker lives."""
    write, refusals = store.claims.succeed, iter([True, True, False])

    def refuse_twice(*arguments: Any) -> None:
        if next(refusals):
            raise sql.exc.OperationalError("UPDATE", {}, Exception("database or disk is full"))
        write(*arguments)

    monkeypatch.setattr(store.claims, "succeed", refuse_twice)
    monkeypatch.setattr("ecurie.worker.loop.RETRY_SECONDS", 0.01)
    job = store.get(run_one(store, tmp_path, lambda _listen: RESULT))
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)


@pytest.mark.parametrize("error", [RuntimeError("odd: a secret castle"), InvalidRequest("'secret' is odd")])
def test_a_prompt_is_in_no_record_of_its_job_unless_asked(
    store: JobStore, tmp_path: Path, error: Exception
) -> None:
    request = dataclasses.replace(REQUEST, prompt="a secret castle", final_prompt="a secret castle, best")
    stream, log = io.StringIO(), logging.getLogger("ecurie")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Text({"worker": "w1"}))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        job_id = run_one(store, tmp_path, fail_with(error), request)
        shown = stream.getvalue()
        run_one(store, tmp_path, fail_with(error), request, log_prompts=True)
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)
    assert "secret" not in shown
    assert f"job {job_id}: failed: " in shown
    assert "prompt 'a secret castle'" in stream.getvalue()
    failure = store.get(job_id).failure
    assert failure is not None
    assert "secret" in failure.message


FULL = sql.exc.OperationalError("UPDATE", {}, Exception("database or disk is full"))


def test_a_store_that_fails_in_the_middle_costs_the_job_nothing(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_arguments: object) -> None:
        raise FULL

    def behaviour(listen: Callable[[Progress], None]) -> JobResult:
        with monkeypatch.context() as patch:
            patch.setattr(store.claims, "report", refuse)
            patch.setattr(store.claims, "check", refuse)
            for step in range(3):
                listen(Progress("denoising", step, 3))
        return RESULT

    job = store.get(run_one(store, tmp_path, behaviour))
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 1)
    assert "the store cannot be told or asked now: database or disk is full" in caplog.text


def test_a_broken_catalogue_stops_only_jobs_that_need_it(store: JobStore, tmp_path: Path) -> None:
    (tmp_path / "ecurie.yaml").write_text("models: [")
    job = store.get(run_one(store, tmp_path, lambda _listen: RESULT))
    assert job.state is JobState.SUCCEEDED
    unsettled = dataclasses.replace(REQUEST, unsettled='{"prompt": "cat", "model": "far"}')
    job = store.get(run_one(store, tmp_path, lambda _listen: RESULT, request=unsettled))
    assert (job.state, job.failure and job.failure.code) == (JobState.FAILED, "catalog-invalid")


def test_a_worker_that_nobody_watches_is_told_that_its_job_hangs(store: JobStore, tmp_path: Path) -> None:
    hung = threading.Event()

    def behaviour(_listen: object) -> JobResult:
        assert hung.wait(30)
        return RESULT

    store.add(REQUEST, priority=0, stack="", max_queue=10)
    options = load_settings(data_dir=tmp_path, lease_seconds=0.3, stall_seconds=0.1)
    engine = cast(Engine, FakeEngine(behaviour))
    worker = Worker("w1", engine, store, options, StopSign(5), on_stall=hung.set)
    worker.answer()
    assert hung.is_set()


@pytest.mark.parametrize(("stall", "kept"), [(0.2, False), (60.0, True)])
def test_a_job_without_progress_loses_its_lease(
    store: JobStore, tmp_path: Path, stall: float, kept: bool
) -> None:
    release = threading.Event()

    def hang(listen: Callable[[Progress], None]) -> JobResult:
        listen(Progress("denoising", 1, 60))
        release.wait()
        return RESULT

    thread = threading.Thread(
        target=run_one, args=(store, tmp_path, hang), kwargs={"lease_seconds": 0.3, "stall_seconds": stall}
    )
    thread.start()
    time.sleep(1.2)
    (held,) = store.leases.held()
    assert (held.lease_until > time.time()) is kept
    release.set()
    thread.join()


def test_what_is_in_memory_is_told_at_each_phase_and_at_the_end(store: JobStore, tmp_path: Path) -> None:
    told: list[tuple[str | None, JobState]] = []

    def behaviour(listen: Callable[[Progress], None]) -> JobResult:
        for step in range(3):
            listen(Progress("loading model" if step == 0 else "denoising", step, 3))
        return RESULT

    job_id = store.add(REQUEST, priority=0, stack="", max_queue=10).id
    options = load_settings(data_dir=tmp_path)
    engine = cast(Engine, FakeEngine(behaviour))

    def tell(job: str | None) -> None:
        told.append((job, store.get(job_id).state))

    worker = Worker("w1", engine, store, options, StopSign(5), tell)
    claim = store.claims.take("w1", Held(), lease_seconds=options.lease_seconds, max_overtake=30)
    assert claim is not None
    worker._work(claim)
    assert told == [
        (job_id, JobState.PREPARING),
        (job_id, JobState.RUNNING),
        (None, JobState.RUNNING),
    ]
    assert store.get(job_id).state is JobState.SUCCEEDED


class SavingEngine(FakeEngine):
    """Saves an image, then does something else before its job is committed."""

    def __init__(self, then: Callable[[], None] = lambda: None):
        self._then = then

    def run(self, request: GenerationRequest, outputs: OutputFolder, *_others: object) -> JobResult:
        image = outputs.save(Image.new("RGB", (64, 64)), request, 0, RESULT.setup)
        self._then()
        return dataclasses.replace(RESULT, images=(image,))


def test_a_commit_whose_answer_was_lost_is_repeated_and_keeps_its_images(
    store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when PostgreSQL is killed between its commit and its answer."""
    succeed, answers = store.claims.succeed, iter([False, True])

    def lose_the_answer(claim: Claim, result: JobResult, seen: Seen) -> None:
        succeed(claim, result, seen)
        if not next(answers):
            raise FULL

    monkeypatch.setattr(store.claims, "succeed", lose_the_answer)
    monkeypatch.setattr("ecurie.worker.loop.RETRY_SECONDS", 0.01)
    options = load_settings(data_dir=tmp_path)
    store.add(REQUEST, priority=0, stack="", max_queue=10)
    claim = store.claims.take("w1", Held(), lease_seconds=30, max_overtake=30)
    assert claim is not None
    Worker("w1", cast(Engine, SavingEngine()), store, options, StopSign(5))._work(claim)
    job = store.get(claim.job.id)
    assert job.result is not None
    assert [file.name for file in (options.data_dir / "outputs").iterdir()] == [job.result.images[0].filename]


def test_a_worker_that_lost_its_job_removes_its_own_images_and_the_next_one_those_before(
    store: JobStore, tmp_path: Path
) -> None:
    options = load_settings(data_dir=tmp_path)
    job_id = store.add(REQUEST, priority=0, stack="", max_queue=10).id

    def work(name: str, then: Callable[[], None] = lambda: None) -> None:
        worker = Worker(name, cast(Engine, SavingEngine(then)), store, options, StopSign(5))
        claim = store.claims.take(name, Held(), lease_seconds=30, max_overtake=30)
        assert claim is not None
        worker._work(claim)

    def take_over() -> None:
        (held,) = store.leases.held()
        assert store.leases.reap(held, max_attempts=3)
        assert len(list((options.data_dir / "outputs").iterdir())) == 1
        half = next((options.data_dir / "outputs").iterdir()).name
        ((options.data_dir / "outputs") / f".{half}.1-2.partial").touch()
        work("w2")

    work("w1", take_over)
    job = store.get(job_id)
    assert job.result is not None
    assert (job.state, job.attempts) == (JobState.SUCCEEDED, 2)
    assert [file.name for file in (options.data_dir / "outputs").iterdir()] == [job.result.images[0].filename]
