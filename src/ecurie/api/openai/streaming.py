"""A job as OpenAI's server-sent events: pictures on the way, then the finished ones."""

from __future__ import annotations

import io
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi.concurrency import iterate_in_threadpool, run_in_threadpool
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from PIL import Image
from starlette.types import Receive, Scope, Send

from ecurie.api.openai.answers import coded_image, created, ecurie_out, size_of, usage_of
from ecurie.api.openai.bodies import ImagesBody
from ecurie.api.openai.errors import error_out
from ecurie.api.openai.running import Visit
from ecurie.api.problems import problem_of
from ecurie.api.waiting import failure_of
from ecurie.domain import Job, Preview
from ecurie.errors import EcurieError
from ecurie.images.formats import write_image

HEARTBEAT_SECONDS = 10.0
"""A comment comes after so long a silence: proxies close connections that are silent for a minute."""
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
PARTIAL_QUALITY = 80


@dataclass
class Partials:
    """Which previews of a job are told: of each image `wanted` at most, evenly spread over its steps."""

    wanted: int
    _image: int = 0
    _told: int = 0
    _passed: int = 0
    _last: Preview | None = field(default=None, repr=False)

    def of(self, job: Job) -> tuple[int, int, Preview] | None:
        """(image, index within the image, preview) where the newest one is to be told."""
        preview = job.progress.preview
        if preview is None or preview is self._last or not self.wanted:
            return None
        self._last = preview
        steps = job.request.steps_an_image
        image, step = divmod(max(preview.step - 1, 0), steps)
        if image != self._image:
            self._image, self._told, self._passed = image, 0, 0
        passed = min((step + 1) * (self.wanted + 1) // steps, self.wanted)
        if passed <= self._passed:
            return None
        self._passed, index = passed, self._told
        self._told += 1
        return image, index, preview


class JobStream(StreamingResponse):
    """Sends the events of a job; `kind` is `image_generation` or `image_edit`. Who leaves cancels it."""

    media_type = "text/event-stream"

    def __init__(self, job: Job, body: ImagesBody, kind: str, visit: Visit):
        self._job, self._body, self._kind, self._visit = job, body, kind, visit
        super().__init__(self._frames(), headers=HEADERS | {"x-request-id": job.id})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._visit.end(self._job)

    async def _frames(self) -> AsyncIterator[bytes]:
        async for frame in self._until_end():
            yield frame
        if (failure := failure_of(self._job)) is not None:
            yield _failed(failure)
            return
        try:
            async for frame in iterate_in_threadpool(self._completed()):
                yield frame
        except EcurieError as error:
            yield _failed(error)
            return
        yield format_sse_event(data_str="[DONE]")

    async def _until_end(self) -> AsyncIterator[bytes]:
        partials, told_at = Partials(self._body.partial_images), time.monotonic()
        stopping = self._visit.request.app.state.stopping
        while not self._job.state.ended and not stopping():
            now = time.monotonic()
            if (partial := partials.of(self._job)) is not None:
                told_at = now
                yield await run_in_threadpool(self._partial, *partial)
            elif now >= told_at + HEARTBEAT_SECONDS:
                told_at = now
                yield KEEPALIVE_COMMENT
            self._job = await self._visit.following.again(self._job)

    def _partial(self, image: int, index: int, preview: Preview) -> bytes:
        content = _in_format(preview.image, self._body.output_format)
        event = self._event("partial_image", b64encode(content).decode(), int(time.time()))
        return _frame(event | {"partial_image_index": index, "image_index": image})

    def _completed(self) -> Iterator[bytes]:
        job, result = self._job, self._visit.told(self._job)
        usage, told = usage_of(job), ecurie_out(job, result).model_dump(mode="json")
        for index, image in enumerate(result.images):
            coded = coded_image(self._visit.service.outputs, image.filename)
            more = {
                "usage": usage and usage.model_dump(),
                "revised_prompt": result.prompt,
                "image_index": index,
                "ecurie": told | {"seed": image.seed},
            }
            yield _frame(self._event("completed", coded, created(job)) | more)

    def _event(self, what: str, coded: str, created_at: int) -> dict[str, Any]:
        return {
            "type": f"{self._kind}.{what}",
            "b64_json": coded,
            "created_at": created_at,
            "background": "opaque",
            "output_format": self._body.output_format,
            "quality": self._body.quality_told,
            "size": size_of(self._job),
        }


def _in_format(preview: bytes, image_format: str) -> bytes:
    """A preview as a file of the format that the events name."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(preview)) as picture:
        write_image(buffer, picture.convert("RGB"), image_format, PARTIAL_QUALITY, None)
    return buffer.getvalue()


def _frame(event: dict[str, Any]) -> bytes:
    return format_sse_event(event=event["type"], data_str=json.dumps(event))


def _failed(error: EcurieError) -> bytes:
    told = error_out(problem_of(error)).model_dump_json()
    return format_sse_event(event="error", data_str=told)
