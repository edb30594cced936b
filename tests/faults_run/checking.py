"""What must hold after any fault: the recorded history against the job table, the images and the logs.

Each rule yields what is wrong, in words; a correct run yields nothing.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ecurie.domain import FINAL_STATES, Job, JobState
from ecurie.errors import EcurieError
from ecurie.images.files import OutputFolder
from ecurie.images.manifest import Manifest, manifest_of
from ecurie.requests.replaying import manifest_in
from tests.faults_run.history import History, Seen

ENDS = {state.value for state in FINAL_STATES}
COMMITTED = re.compile(r"job (\w{32}): (?:succeeded|cancelled|failed)")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is there at the end. `log` is that of all workers; `failures` are codes with which jobs may fail
    besides worker-died."""

    jobs: Mapping[str, Job]
    outputs: Path
    log: str
    max_attempts: int
    failures: frozenset[str] = frozenset()


def problems(history: History, evidence: Evidence) -> list[str]:
    rules = (
        _accepted_jobs_are_kept,
        _no_job_that_nobody_asked_for,
        _every_job_ended_once,
        _every_image_is_whole,
        _no_file_without_a_job,
        _attempts_are_bounded,
        _cancelled_jobs_do_not_run,
        _one_commit_for_a_job,
    )
    return [*history.errors, *(problem for rule in rules for problem in rule(history, evidence))]


def _accepted_jobs_are_kept(history: History, evidence: Evidence) -> Iterator[str]:
    for job_id, seed in history.accepted.items():
        if job_id not in evidence.jobs:
            yield f"{job_id}: accepted, and gone"
        elif evidence.jobs[job_id].request.seed != seed:
            yield f"{job_id}: not the request that was accepted"


def _no_job_that_nobody_asked_for(history: History, evidence: Evidence) -> Iterator[str]:
    seeds = Counter(job.request.seed for job in evidence.jobs.values())
    accepted = set(history.accepted.values())
    for seed, count in seeds.items():
        if count > 1:
            yield f"request {seed}: became {count} jobs"
        if seed in history.refused:
            yield f"request {seed}: refused with {history.refused[seed]}, and is a job"
        elif seed not in accepted | history.unanswered:
            yield f"request {seed}: nobody sent it"


def _every_job_ended_once(history: History, evidence: Evidence) -> Iterator[str]:
    told: dict[str, list[Seen]] = defaultdict(list)
    for seen in history.seen:
        told[seen.job_id].append(seen)
    for job in evidence.jobs.values():
        if not job.state.ended:
            yield f"{job.id}: has not ended, it is {job.state}"
        for ended in (seen for seen in told[job.id] if seen.state in ENDS):
            if ended.state != job.state:
                yield f"{job.id}: was told to be {ended.state}, is {job.state}"
            later = [seen.state for seen in told[job.id] if seen.asked > ended.answered]
            if changed := [state for state in later if state != ended.state]:
                yield f"{job.id}: was {ended.state}, then {changed[0]}"


def _every_image_is_whole(history: History, evidence: Evidence) -> Iterator[str]:
    for job in evidence.jobs.values():
        if job.state is JobState.SUCCEEDED:
            yield from (f"{job.id}: {problem}" for problem in _wrong_images(job, evidence.outputs))
    for seen in history.seen:
        result = evidence.jobs[seen.job_id].result if seen.job_id in evidence.jobs else None
        names = tuple(image.filename for image in result.images) if result else ()
        if seen.state == JobState.SUCCEEDED and seen.images != names:
            yield f"{seen.job_id}: its images were {seen.images}, and are {names}"


def _wrong_images(job: Job, outputs: Path) -> Iterator[str]:
    assert job.result is not None
    if len(job.result.images) != job.request.num_images:
        yield f"{len(job.result.images)} images instead of {job.request.num_images}"
    run = OutputFolder(outputs, job.id, job.created_at, attempt=job.attempts)
    for index, image in enumerate(job.result.images):
        if image.filename != run.name_of(job.request, index):
            yield f"{image.filename} is not of the run that committed"
        try:
            size, manifest = _read(outputs / image.filename)
        except (OSError, SyntaxError, EcurieError) as error:
            yield f"{image.filename} cannot be read: {error}"
            continue
        if size != job.request.final_size:
            yield f"{image.filename} has the size {size}"
        if manifest != manifest_of(job.request, index, job.result.setup):
            yield f"{image.filename} has another manifest"


def _read(file: Path) -> tuple[tuple[int, int], Manifest]:
    """Size and manifest of an image that can be decoded to its last pixel."""
    with Image.open(file) as picture:
        picture.load()
        return picture.size, manifest_in(file.read_bytes())


def _no_file_without_a_job(_history: History, evidence: Evidence) -> Iterator[str]:
    results = [job.result for job in evidence.jobs.values() if job.result is not None]
    known = {image.filename for result in results for image in result.images}
    for file in sorted(evidence.outputs.iterdir()):
        if file.name not in known:
            yield f"{file.name}: no job has this file"


def _attempts_are_bounded(history: History, evidence: Evidence) -> Iterator[str]:
    highest = {job.id: job.attempts for job in evidence.jobs.values()}
    for seen in history.seen:
        highest[seen.job_id] = max(seen.attempts, highest.get(seen.job_id, 0))
    for job_id, attempts in highest.items():
        if attempts > evidence.max_attempts:
            yield f"{job_id}: {attempts} attempts"
    for job in evidence.jobs.values():
        if job.state is JobState.SUCCEEDED and job.attempts < 1:
            yield f"{job.id}: succeeded without a run"
        if job.state is not JobState.FAILED:
            continue
        code = job.failure.code if job.failure else None
        died = code == "worker-died" and job.attempts == evidence.max_attempts
        if not died and code not in evidence.failures:
            yield f"{job.id}: failed as {code} after {job.attempts} attempts: {job.failure}"


def _cancelled_jobs_do_not_run(history: History, evidence: Evidence) -> Iterator[str]:
    """One that waited is cancelled at once; no run begins after a cancellation was acknowledged."""
    for seen in history.cancelled:
        job = evidence.jobs.get(seen.job_id)
        if job is None:
            continue
        if seen.state == JobState.QUEUED:
            yield f"{job.id}: cancelled, and still in the queue"
        if job.attempts > seen.attempts:
            yield f"{job.id}: run {job.attempts} began after it was cancelled"
        if seen.state == JobState.CANCELLED and seen.started_at != job.started_at:
            yield f"{job.id}: cancelled, and ran after that"


def _one_commit_for_a_job(_history: History, evidence: Evidence) -> Iterator[str]:
    """Workers write an end to their log when the job table has it; a lost run never gets there."""
    for job_id, count in Counter(COMMITTED.findall(evidence.log)).items():
        if count > 1:
            yield f"{job_id}: {count} workers committed it"
