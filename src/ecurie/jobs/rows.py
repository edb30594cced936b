"""Jobs as rows of the table, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter

from ecurie.domain import GenerationRequest, Job, JobFailure, JobResult, JobState, Priority, Progress

REQUEST, RESULT, FAILURE = TypeAdapter(GenerationRequest), TypeAdapter(JobResult), TypeAdapter(JobFailure)
ADAPTERS: dict[type, TypeAdapter[Any]] = {GenerationRequest: REQUEST, JobResult: RESULT, JobFailure: FAILURE}


def to_json(value: GenerationRequest | JobResult | JobFailure) -> str:
    return ADAPTERS[type(value)].dump_json(value).decode()


def to_request(text: str) -> GenerationRequest:
    return REQUEST.validate_json(text)


def to_job(row: Any, position: int | None) -> Job:
    return Job(
        id=row["id"],
        state=JobState(row["state"]),
        request=to_request(row["request"]),
        created_at=_moment(row["created_at"]),
        started_at=row["started_at"] and _moment(row["started_at"]),
        finished_at=row["finished_at"] and _moment(row["finished_at"]),
        priority=Priority(row["priority"]),
        attempts=row["attempts"],
        queue_position=position,
        progress=Progress(row["phase"], row["step"], row["total"], row["bytes_done"], row["bytes_total"]),
        result=row["result"] and RESULT.validate_json(row["result"]),
        failure=row["failure"] and FAILURE.validate_json(row["failure"]),
        owner=row["owner"],
        traceparent=row["traceparent"] or "",
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
