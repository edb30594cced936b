"""Requests that stay open until their job has ended."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Header, Query, Request

from ecurie.api.following import Following
from ecurie.domain import Job

LONGEST_WAIT = 600.0


async def wanted_wait(
    wait: Annotated[
        float,
        Query(ge=0, le=LONGEST_WAIT, description="Answer with the result, after at most this many seconds."),
    ] = 0,
    prefer: Annotated[str, Header(description="`wait=N` does the same as the parameter.")] = "",
) -> float:
    for preference in prefer.split(","):
        name, _, seconds = preference.partition("=")
        if name.strip().casefold() == "wait" and seconds.strip().isdecimal():
            return min(float(seconds), LONGEST_WAIT)
    return wait


async def until_end(job: Job, following: Following, seconds: float, request: Request) -> Job:
    """The job as it is at its end, after `seconds`, or when the client leaves or the server stops."""
    deadline = time.monotonic() + seconds
    while not job.state.ended and time.monotonic() < deadline:
        if request.app.state.stopping() or await request.is_disconnected():
            break
        job = await following.again(job)
    return job
