"""Drawing while the client waits: a client that leaves stops the drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from ecurie.api.a1111.answers import generation_out, images_of
from ecurie.api.a1111.bodies import GenerationBody
from ecurie.api.a1111.options import checked, chosen_of
from ecurie.api.a1111.running import Asked, Running
from ecurie.api.a1111.translate import Work, overrides_of, work_of
from ecurie.api.following import Following
from ecurie.api.waiting import failure_of, leave, until_end
from ecurie.domain import Caller, Job, JobState
from ecurie.jobs.client_options import Client, ClientOptions
from ecurie.service import Service

CLIENT_GONE = 499
"""Nobody reads it."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A client with its request open."""

    service: Service
    caller: Caller
    client: Client
    options: ClientOptions
    running: Running
    following: Following
    request: Request

    async def draw(self, body: GenerationBody, kind: str) -> Response:
        """Raises what `submit` and `drawn` raise."""
        work, jobs = await run_in_threadpool(self.submit, body)
        asked = Asked(self.client, body.force_task_id or jobs[0].id, kind, jobs)
        try:
            ended = await self.drawn(asked)
        except ClientDisconnect:
            return Response(status_code=CLIENT_GONE)
        # Base64 of many images is large: written off the event loop.
        return await run_in_threadpool(self.answer, body, work, ended)

    def submit(self, body: GenerationBody) -> tuple[Work, list[Job]]:
        """Queue all jobs of a request, or none. Raises what `work_of` and `Service.submit_all` raise."""
        overrides = checked(overrides_of(body), self.service.catalog)
        chosen = chosen_of(self.options.of(self.client), overrides)
        work = work_of(body, chosen, self.service.picture_source(self.caller))
        jobs = self.service.submit_all(work.bodies, self.caller)
        if not body.override_settings_restore_afterwards:
            self.options.change(self.client, overrides)
        return work, jobs

    async def drawn(self, asked: Asked) -> list[Job]:
        """The jobs at their end; what is left of them when the wait ends is cancelled.

        Raises what a job failed with, JobCancelled for one that somebody else cancelled, ClientDisconnect for
        a client that has left, or NotReady when the server stops.
        """
        jobs, state = list(asked.jobs), self.request.app.state
        with self.running.during(asked):
            try:
                for number, job in enumerate(jobs):
                    jobs[number] = await until_end(job, self.following, math.inf, self.request)
                    _refuse_unfinished(jobs[number], asked, stopping=state.stopping())
            finally:
                await leave(jobs, self.service, self.caller, self.request)
        return jobs

    def answer(self, body: GenerationBody, work: Work, jobs: list[Job]) -> Response:
        """Raises UnknownOutput or StorageUnavailable."""
        images = images_of(jobs)
        wanted = images if body.send_images else []
        contents = [self.service.read_output(image.filename, self.caller) for image in wanted]
        told = generation_out(body, jobs, images, contents, work.notes)
        return Response(told.model_dump_json(), media_type="application/json")


def _refuse_unfinished(job: Job, asked: Asked, *, stopping: bool) -> None:
    """A job that its client interrupted is no failure: it gets the images that there are."""
    if not job.state.ended and not stopping:
        raise ClientDisconnect
    interrupted = job.state is JobState.CANCELLED and (asked.interrupted or asked.skipped)
    if not interrupted and (failure := failure_of(job)) is not None:
        raise failure
