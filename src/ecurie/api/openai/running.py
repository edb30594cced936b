"""The job of one request: it lives as long as the client waits for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from ecurie.api import schemas
from ecurie.api.deps import CallerDep, FollowingDep, LinksDep, ServiceDep
from ecurie.api.following import Following
from ecurie.api.links import Links
from ecurie.api.waiting import failure_of, leave, until_end
from ecurie.domain import Caller, Job
from ecurie.requests.body import GenerateBody
from ecurie.service import Service


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
        if (error := failure_of(job)) is not None:
            raise error
        return job

    def told(self, job: Job) -> schemas.ResultOut:
        """The result of a job that has succeeded, as our own interface tells it."""
        result = schemas.result_out(job, self.links)
        assert result is not None
        return result

    async def end(self, job: Job) -> None:
        """Nobody waits any more."""
        await leave([job], self.service, self.caller, self.request)


async def get_visit(
    service: ServiceDep, caller: CallerDep, following: FollowingDep, links: LinksDep, request: Request
) -> Visit:
    return Visit(service, caller, following, links, request)


VisitDep = Annotated[Visit, Depends(get_visit)]
