"""The job of one request: it lives as long as the client waits for it."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import anyio
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from ecurie.api import schemas
from ecurie.api.deps import CallerDep, FollowingDep, LinksDep, ServiceDep
from ecurie.api.following import Following
from ecurie.api.links import Links
from ecurie.api.waiting import until_end
from ecurie.domain import Caller, Job
from ecurie.errors import EcurieError, JobFinished, NotReady, StoreUnavailable, UnknownJob, error_called
from ecurie.requests.body import GenerateBody
from ecurie.service import Service

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Visit:
    """A client with its request open."""

    service: Service
    caller: Caller
    following: Following
    links: Links
    request: Request

    async def submit(self, body: GenerateBody) -> Job:
        """Raises what `Service.submit` raises."""
        return await run_in_threadpool(self.service.submit, body, self.caller)

    async def result_of(self, job: Job) -> Job:
        """The job once it has succeeded. A client that leaves cancels it.

        Raises what it failed with, or NotReady when the server stops.
        """
        job = await until_end(job, self.following, math.inf, self.request)
        await self.end(job)
        if (error := self.failure_of(job)) is not None:
            raise error
        return job

    def told(self, job: Job) -> schemas.ResultOut:
        """The result of a job that has succeeded, as our own interface tells it."""
        result = schemas.result_out(job, self.links)
        assert result is not None
        return result

    def failure_of(self, job: Job) -> EcurieError | None:
        """None for one that has succeeded."""
        if not job.state.ended:
            return NotReady(
                "the server stops; it keeps the job, and goes on with it when it is back",
                remedy=f"GET /jobs/{job.id} then tells its end",
            )
        if job.failure is not None:
            return error_called(job.failure.code, job.failure.message, job.failure.remedy)
        return None if job.result else error_called("cancelled", "the job was cancelled", None)

    async def end(self, job: Job) -> None:
        """Nobody waits any more: cancel the job, unless it has ended or waits for the server's return."""
        if job.state.ended or self.request.app.state.stopping():
            return
        # The client's leaving cancels this very task.
        with anyio.CancelScope(shield=True), suppress(JobFinished, UnknownJob):
            try:
                await run_in_threadpool(self.service.cancel, job.id, self.caller)
            except StoreUnavailable as error:
                log.warning("job %s goes on, though its client has left: %s", job.id, error)


async def get_visit(
    service: ServiceDep, caller: CallerDep, following: FollowingDep, links: LinksDep, request: Request
) -> Visit:
    return Visit(service, caller, following, links, request)


VisitDep = Annotated[Visit, Depends(get_visit)]
