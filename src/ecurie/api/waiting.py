"""Requests that stay open until their job has ended."""

from __future__ import annotations

import time

from fastapi import Request

from ecurie.api.following import Following
from ecurie.domain import Job


async def until_end(job: Job, following: Following, seconds: float, request: Request) -> Job:
    """The job as it is at its end, after `seconds`, or when the client leaves or the server stops."""
    deadline = time.monotonic() + seconds
    while not job.state.ended and time.monotonic() < deadline:
        if request.app.state.stopping() or await request.is_disconnected():
            break
        job = await following.again(job)
    return job
