"""Requests that stay open until their job has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from contextlib import suppress

import anyio
from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from ecurie.api.following import Following
from ecurie.domain import Caller, Job
from ecurie.errors import EcurieError, JobFinished, NotReady, StoreUnavailable, UnknownJob, error_called
from ecurie.service import Service

log = logging.getLogger(__name__)


async def until_end(job: Job, following: Following, seconds: float, request: Request) -> Job:
    """The job as it is at its end, after `seconds`, or when the client leaves or the server stops."""
    deadline = time.monotonic() + seconds
    while not job.state.ended and time.monotonic() < deadline:
        if request.app.state.stopping() or await request.is_disconnected():
            break
        job = await following.again(job)
    return job


def failure_of(job: Job) -> EcurieError | None:
    """Why there is no result; None for a job that has succeeded. One that goes on does so because the server
    stops."""
    if not job.state.ended:
        return NotReady(
            "the server stops; it keeps the job, and goes on with it when it is back",
            remedy=f"GET /jobs/{job.id} then tells its end",
        )
    if job.failure is not None:
        return error_called(job.failure.code, job.failure.message, job.failure.remedy)
    return None if job.result else error_called("cancelled", "the job was cancelled", None)


async def leave(jobs: Iterable[Job], service: Service, caller: Caller, request: Request) -> None:
    """Nobody waits any more: cancel those that have not ended, unless they wait for the server's return."""
    left = [job for job in jobs if not job.state.ended]
    if not left or request.app.state.stopping():
        return
    # The client's leaving cancels this very task.
    with anyio.CancelScope(shield=True):
        try:
            await run_in_threadpool(cancel, left, service, caller)
        except StoreUnavailable as error:
            log.warning("job %s goes on, though its client has left: %s", left[0].id, error)


def cancel(jobs: Iterable[Job], service: Service, caller: Caller) -> None:
    """Those of them that have not ended."""
    for job in jobs:
        with suppress(JobFinished, UnknownJob):
            service.cancel(job.id, caller)
