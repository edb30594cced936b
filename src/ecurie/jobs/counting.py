"""From the end of a job's run to what is counted of it."""

from __future__ import annotations

import bisect
import json
import math
from collections import defaultdict

from ecurie.domain import NOTHING_SEEN, Job, JobFailure, JobResult, JobState, Seen
from ecurie.jobs import measures
from ecurie.jobs.measures import Measure

Series = tuple[str, str]
"""A row of the table of figures: name, and the label values as JSON."""


class Counts:
    """Increments. A histogram's are its sum and, for each bucket, what fell into that one alone."""

    def __init__(self) -> None:
        self.values: defaultdict[Series, float] = defaultdict(float)

    def add(self, measure: Measure, *labels: str, amount: float = 1.0) -> None:
        self.values[measure.name, _written(*labels)] += amount

    def observe(self, measure: Measure, *labels: str, value: float) -> None:
        self.values[f"{measure.name}_sum", _written(*labels)] += value
        self.values[f"{measure.name}_bucket", _written(*labels, bucket_of(measure, value))] += 1


def _written(*labels: str) -> str:
    return json.dumps(labels, ensure_ascii=False)


def bucket_of(measure: Measure, value: float) -> str:
    """The least upper bound that holds the value."""
    place = bisect.bisect_left(measure.buckets, value)
    return bound(measure.buckets[place] if place < len(measure.buckets) else math.inf)


def bound(value: float) -> str:
    """As Prometheus writes it."""
    return "+Inf" if math.isinf(value) else repr(value)


def of_success(job: Job, result: JobResult, seen: Seen) -> Counts:
    counts = _of_end(job.request.model, JobState.SUCCEEDED, seen)
    timings, report, model = result.timings, result.report, job.request.model
    if job.started_at is not None:
        waited = (job.started_at - job.created_at).total_seconds()
        counts.observe(measures.WAITED, job.priority.label, value=waited)
    for phase in measures.PHASES:
        counts.observe(measures.PHASE, phase, value=getattr(timings, phase))
    counts.observe(measures.SWITCH, switch_of(result), value=timings.switch)
    for phase in ("read", "compute", "restore"):
        counts.add(measures.ADAPTERS, phase, amount=getattr(report, phase))
    counts.add(measures.PROMPTS, "hit" if report.prompt_cached else "miss")
    counts.add(measures.MODELS, "miss" if result.model_read else "hit")
    counts.add(measures.LADDER, result.setup.memory_step)
    counts.add(measures.IMAGES, model, amount=len(result.images))
    return counts


def switch_of(result: JobResult) -> str:
    """What had to be done before the job could draw."""
    if result.model_read:
        return "model"
    return "stack" if result.report.weights_written else "none"


def of_failure(model: str, failure: JobFailure, seen: Seen = NOTHING_SEEN, lost: str | None = None) -> Counts:
    """`lost`: why its worker could not end it itself."""
    counts = _of_end(model, JobState.FAILED, seen, lost)
    counts.add(measures.FAILED, failure.code)
    return counts


def of_cancelling(model: str, seen: Seen = NOTHING_SEEN, lost: str | None = None) -> Counts:
    return _of_end(model, JobState.CANCELLED, seen, lost)


def of_return(model: str, reason: str, seen: Seen = NOTHING_SEEN) -> Counts:
    """A run that ended without its job."""
    counts = _of_run(model, seen)
    counts.add(measures.RETURNED, reason)
    return counts


def of_death() -> Counts:
    """Of a worker process."""
    counts = Counts()
    counts.add(measures.DIED)
    return counts


def _of_end(model: str, outcome: JobState, seen: Seen, lost: str | None = None) -> Counts:
    counts = _of_run(model, seen) if lost is None else of_return(model, lost, seen)
    counts.add(measures.FINISHED, model, outcome.value)
    return counts


def _of_run(model: str, seen: Seen) -> Counts:
    counts = Counts()
    for seconds in seen.steps:
        counts.observe(measures.STEP, model, value=seconds)
    for step in seen.out_of_memory:
        counts.add(measures.MEMORY_OUT, step)
    if seen.previews:
        counts.add(measures.PREVIEWS, amount=seen.previews)
    if seen.downloaded:
        counts.add(measures.DOWNLOADED, amount=seen.downloaded)
    return counts
