"""The use cases: what the HTTP interface does, in terms of the catalogue and the job store."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from ecurie.catalog.catalog import Catalog
from ecurie.catalog.inspection import InspectedAdapter, inspect_adapter
from ecurie.domain import Caller, GenerationRequest, Job, JobState, PictureUse, Priority, Role
from ecurie.errors import UnknownJob, UnknownOutput
from ecurie.first_use import resolve_or_defer
from ecurie.images.files import time_in
from ecurie.images.formats import SUFFIXES
from ecurie.images.manifest import Manifest, manifest_of
from ecurie.images.reading import read_text
from ecurie.images.storage import Storage, Stored
from ecurie.images.thumbnails import thumbnail_of
from ecurie.images.uploads import Pictures
from ecurie.jobs.doorbell import Doorbell, Ring
from ecurie.jobs.gallery import MadeImage
from ecurie.jobs.schedule import stack_of
from ecurie.jobs.store import JobStore, New
from ecurie.jobs.workers import WorkerRow
from ecurie.requests.body import GenerateBody
from ecurie.requests.finding import find_picture
from ecurie.requests.from_image import Recalled, recall
from ecurie.requests.pictures import PictureSource, settle_picture
from ecurie.requests.preview import Preview, preview_of
from ecurie.requests.replaying import is_image, manifest_in, replay
from ecurie.requests.resolve import resolve

MADE_AGAIN = "GET /jobs/{id}/manifests of its job and POST /replay make it again"
OUTPUT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True, slots=True)
class Limits:
    """`keep_outputs_days` is told where an image is gone; 0: none is removed."""

    max_queue: int
    max_pixels: int
    keep_outputs_days: float = 0


class Service:
    def __init__(
        self,
        catalog: Catalog,
        store: JobStore,
        doorbell: Doorbell,
        outputs: Storage,
        limits: Limits,
        pictures: Pictures,
        default_reference: Callable[[], PictureUse] | None = None,
    ):
        self.catalog, self.store, self.pictures = catalog, store, pictures
        self.picture_source = PictureSource(
            partial(settle_picture, pictures=pictures), default_reference, pictures.content
        )
        self._doorbell = doorbell
        self.outputs, self._limits = outputs, limits

    def submit(self, body: GenerateBody, caller: Caller) -> Job:
        """Check everything that can be checked without the model in memory, then queue the job durably.

        A job that needs files which its worker must download is checked by what the catalogue says.

        The queue is fair among owners. Raises RequestError, QueueFull or StorageFull.
        """
        return self._queue(self.resolve(body), Priority.named(body.priority), caller)

    def replay(self, content: bytes, caller: Caller) -> Job:
        """Queue the image of a manifest once more; `content` is an image, which the new one is compared with,
        or the JSON of a manifest.

        Raises RequestError, QueueFull or StorageFull.
        """
        manifest = manifest_in(content)
        original = self.pictures.add(content, "image").use if is_image(content) else None
        find = partial(find_picture, pictures=self.pictures)
        request = replay(
            manifest, original, self.catalog, find, self._limits.max_pixels, self.pictures.content
        )
        return self._queue(request, Priority.NORMAL, caller)

    def _queue(self, request: GenerationRequest, priority: Priority, caller: Caller) -> Job:
        job = self.store.add(
            request,
            priority=priority,
            stack=stack_of(request),
            max_queue=self._limits.max_queue,
            owner=caller.owner,
        )
        self._doorbell.ring([Ring(job.id, request.model)])
        return job

    def resolve(self, body: GenerateBody) -> GenerationRequest:
        """The request that would be queued. Raises RequestError."""
        return resolve_or_defer(body, self.catalog, self._limits.max_pixels, self.picture_source)

    def preview(self, body: GenerateBody) -> Preview:
        """What the prompts of a request become. Raises RequestError."""
        return preview_of(resolve(body, self.catalog, self._limits.max_pixels, self.picture_source))

    def recall(self, content: bytes) -> Recalled:
        """What an image tells of how it was made, as a request that can be sent here; nothing is queued.

        Raises BodyTooLarge, or InvalidRequest for what is no image.
        """
        self.pictures.refuse_large(len(content), "image")
        return recall(read_text(content), self.catalog, self.picture_source.find)

    def submit_cells(self, new: Sequence[New], sweep: str, priority: Priority, caller: Caller) -> None:
        """Queue the cells of a sweep, all or none. Raises QueueFull or StorageFull."""
        limit = self._limits.max_queue
        ids = self.store.add_all(new, priority=priority, max_queue=limit, owner=caller.owner, sweep=sweep)
        self._doorbell.ring(Ring(job_id, one.request.model) for job_id, one in zip(ids, new, strict=True))

    def job(self, job_id: str, caller: Caller) -> Job:
        """Raises UnknownJob, also for a job that is not the caller's."""
        job = self.store.get(job_id)
        if not caller.may_use(job.owner):
            raise UnknownJob(f"there is no job '{job_id}'")
        return job

    def jobs(self, limit: int, state: JobState | None, caller: Caller) -> list[Job]:
        """The newest that the caller may see."""
        everybody = caller.role is Role.ADMIN
        return self.store.latest(limit, state, None if everybody else caller.owner)

    def changed_of(self, known: Sequence[Job]) -> list[Job]:
        """Those of these jobs that changed, as they are now."""
        return self.store.changed_of(known)

    def cancel(self, job_id: str, caller: Caller) -> Job:
        """Raises UnknownJob or JobFinished."""
        self.job(job_id, caller)
        return self.store.cancel(job_id)

    def set_priority(self, job_id: str, priority: Priority, caller: Caller) -> Job:
        """Of a queued job. Raises UnknownJob, JobStarted or JobFinished."""
        self.job(job_id, caller)
        return self.store.set_priority(job_id, priority)

    def workers(self) -> list[WorkerRow]:
        """Those that are ready to run jobs or run one, on this machine and others."""
        return self.store.workers.present()

    def adapter(self, adapter_id: str) -> InspectedAdapter:
        """What an adapter's file tells, checked against the default model.

        Raises UnknownAdapter, WeightsMissing, or WeightsInvalid for a damaged file.
        """
        return inspect_adapter(self.catalog, self.catalog.find_adapter(adapter_id))

    def thumbnail(self, adapter_id: str) -> bytes | None:
        """A small picture (WebP) of what an adapter does, where it has one.

        Raises UnknownAdapter or WeightsMissing.
        """
        return thumbnail_of(self.catalog.find_adapter(adapter_id).file)

    def remove_old_pictures(self, days: float) -> None:
        """Those that nobody sent or used for so long (0: never) and that no job waits for."""
        old = set(self.pictures.older_than(days)) if days else set()
        if old:
            needed = {use.id for request in self.store.unfinished() for use in request.pictures}
            # Those used since the first look count as used: their jobs may be too new to be seen.
            self.pictures.remove_all((old - needed).intersection(self.pictures.older_than(days)))

    def manifests(self, job_id: str, caller: Caller) -> list[Manifest]:
        """Of the images of a job, also where they are not told in the images. Raises UnknownJob."""
        job = self.job(job_id, caller)
        if job.result is None:
            return []
        setup = job.result.setup
        return [manifest_of(job.request, index, setup) for index in range(len(job.result.images))]

    def output(self, filename: str) -> Stored:
        """The file of a finished image.

        Raises UnknownOutput for anything else, links included, or StorageUnavailable.
        """
        usable = OUTPUT_NAME.fullmatch(filename) and Path(filename).suffix in SUFFIXES
        found = self.outputs.find(filename) if usable else None
        if found is None:
            raise self.no_output(filename)
        return found

    def made_image(self, filename: str) -> MadeImage | None:
        """The image and its job, if that is known still; its file may be gone."""
        sent_at = time_in(filename)
        return None if sent_at is None else self.store.gallery.find(filename, sent_at)

    def read_output(self, filename: str) -> bytes:
        """Its content. Raises what `output` raises."""
        return self.outputs.read(self.output(filename).name)

    def no_output(self, filename: str) -> UnknownOutput:
        """The error that says that it is not there, and why if that is known."""
        made = self.made_image(filename)
        if made is not None and made.deleted:
            return UnknownOutput(f"the output '{filename}' was deleted", remedy=MADE_AGAIN)
        days, asked = self._limits.keep_outputs_days, time_in(filename)
        if days and asked is not None and datetime.now(UTC) - asked > timedelta(days=days):
            return UnknownOutput(
                f"the output '{filename[:100]}' was removed: images are kept for {days:g} days",
                remedy=MADE_AGAIN,
            )
        return UnknownOutput(f"there is no output '{filename[:100]}'")
