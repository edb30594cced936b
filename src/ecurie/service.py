"""The use cases: what the HTTP interface does, in terms of the catalogue and the job store."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from ecurie.access.limits import Quotas
from ecurie.access.pictures import CallersPictures
from ecurie.catalog.catalog import Catalog
from ecurie.catalog.inspection import InspectedAdapter, inspect_adapter
from ecurie.domain import LOCAL, Caller, GenerationRequest, Job, JobState, PictureUse, Priority
from ecurie.errors import Forbidden, UnknownJob, UnknownOutput
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
from ecurie.jobs.owners import Owners
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
from ecurie.spans import span

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
        self.catalog, self.store = catalog, store
        self._pictures, self._default_reference = pictures, default_reference
        self._doorbell = doorbell
        self.outputs, self._limits = outputs, limits
        self._owners, self._quotas = Owners(store.database), Quotas(store.database)

    def pictures(self, caller: Caller) -> CallersPictures:
        """Those that it may use."""
        return CallersPictures(self._pictures, self._owners, caller)

    def picture_source(self, caller: Caller) -> PictureSource:
        """Where the pictures of its requests are found; the server's own reference is everybody's."""
        pictures, own = self.pictures(caller), self._default_reference

        def reference() -> PictureUse:
            assert own is not None
            use = own()
            pictures.share(use.id)
            return use

        find = partial(settle_picture, pictures=pictures)
        return PictureSource(find, None if own is None else reference, pictures.content)

    def submit(self, body: GenerateBody, caller: Caller) -> Job:
        """Check everything that can be checked without the model in memory, then queue the job durably.

        A job that needs files which its worker must download is checked by what the catalogue says.

        The queue is fair among owners. Raises RequestError, QueueFull, LimitReached or StorageFull.
        """
        return self._queue(self.resolve(body, caller), Priority.named(body.priority), caller)

    def submit_all(self, bodies: Sequence[GenerateBody], caller: Caller) -> list[Job]:
        """The same for bodies of one priority, all or none."""
        requests = [self.resolve(body, caller) for body in bodies]
        new = [New(request, stack_of(request)) for request in requests]
        ids = self._queue_all(new, Priority.named(bodies[0].priority), caller)
        return [self.store.get(job_id) for job_id in ids]

    def replay(self, content: bytes, caller: Caller) -> Job:
        """Queue the image of a manifest once more; `content` is an image, which the new one is compared with,
        or the JSON of a manifest.

        Raises RequestError, QueueFull, LimitReached or StorageFull.
        """
        manifest, pictures = manifest_in(content), self.pictures(caller)
        original = pictures.add(content, "image").use if is_image(content) else None
        find = partial(find_picture, pictures=pictures)
        request = replay(manifest, original, self.catalog, find, self._limits.max_pixels, pictures.content)
        return self._queue(request, Priority.NORMAL, caller)

    def _queue(self, request: GenerationRequest, priority: Priority, caller: Caller) -> Job:
        (job_id,) = self._queue_all([New(request, stack_of(request))], priority, caller)
        return self.store.get(job_id)

    def _queue_all(
        self, new: Sequence[New], priority: Priority, caller: Caller, sweep: str | None = None
    ) -> list[str]:
        """All or none; returns their ids."""
        _check_priority(priority, caller)
        limit, pixels = self._limits.max_queue, sum(one.request.finished_pixels for one in new)
        about = {"model": new[0].request.model} if sweep is None else {"sweep": sweep}
        with span("submit", **about), self._quotas.room_for(caller, len(new), pixels):
            ids = self.store.add_all(new, priority=priority, max_queue=limit, owner=caller.owner, sweep=sweep)
        self._doorbell.ring(Ring(job_id, one.request.model) for job_id, one in zip(ids, new, strict=True))
        return ids

    def resolve(self, body: GenerateBody, caller: Caller) -> GenerationRequest:
        """The request that would be queued. Raises RequestError."""
        source = self.picture_source(caller)
        return resolve_or_defer(body, self.catalog, self._limits.max_pixels, source)

    def preview(self, body: GenerateBody, caller: Caller) -> Preview:
        """What the prompts of a request become. Raises RequestError."""
        source = self.picture_source(caller)
        return preview_of(resolve(body, self.catalog, self._limits.max_pixels, source))

    def recall(self, content: bytes, caller: Caller) -> Recalled:
        """What an image tells of how it was made, as a request that can be sent here; nothing is queued.

        Raises BodyTooLarge, or InvalidRequest for what is no image.
        """
        self._pictures.refuse_large(len(content), "image")
        return recall(read_text(content), self.catalog, self.picture_source(caller).find)

    def submit_cells(self, new: Sequence[New], sweep: str, priority: Priority, caller: Caller) -> None:
        """Queue the cells of a sweep, all or none.

        Raises Forbidden, QueueFull, LimitReached or StorageFull.
        """
        self._queue_all(new, priority, caller, sweep)

    def job(self, job_id: str, caller: Caller) -> Job:
        """Raises UnknownJob, also for a job that is not the caller's."""
        job = self.store.get(job_id)
        if not caller.may_use(job.owner):
            raise UnknownJob(f"there is no job '{job_id}'")
        return job

    def jobs(self, limit: int, state: JobState | None, caller: Caller) -> list[Job]:
        """The newest that the caller may see."""
        return self.store.latest(limit, state, None if caller.is_admin else caller.owner)

    def changed_of(self, known: Sequence[Job]) -> list[Job]:
        """Those of these jobs that changed, as they are now."""
        return self.store.changed_of(known)

    def cancel(self, job_id: str, caller: Caller) -> Job:
        """Raises UnknownJob or JobFinished."""
        self.job(job_id, caller)
        return self.store.cancel(job_id)

    def set_priority(self, job_id: str, priority: Priority, caller: Caller) -> Job:
        """Of a queued job. Raises Forbidden, UnknownJob, JobStarted or JobFinished."""
        self.job(job_id, caller)
        _check_priority(priority, caller)
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
        pictures = self._pictures
        old = set(pictures.older_than(days)) if days else set()
        if old:
            needed = {use.id for request in self.store.unfinished() for use in request.pictures}
            # Those used since the first look count as used: their jobs may be too new to be seen.
            unused = (old - needed).intersection(pictures.older_than(days))
            pictures.remove_all(unused)
            self._owners.forget_uploads(unused)

    def manifests(self, job_id: str, caller: Caller) -> list[Manifest]:
        """Of the images of a job, also where they are not told in the images. Raises UnknownJob."""
        job = self.job(job_id, caller)
        if job.result is None:
            return []
        setup = job.result.setup
        return [manifest_of(job.request, index, setup) for index in range(len(job.result.images))]

    def output(self, filename: str, caller: Caller) -> Stored:
        """The file of a finished image.

        Raises UnknownOutput for anything else, links and others' images included, or StorageUnavailable.
        """
        found = self._stored(filename)
        if found is None or not (caller.is_admin or self._owners.of_output(filename) == caller.owner):
            raise self.no_output(filename, caller)
        return found

    def linked_output(self, filename: str) -> Stored:
        """The same for who has a signed link to it, whosever it is."""
        found = self._stored(filename)
        if found is None:
            raise self.no_output(filename, LOCAL)
        return found

    def _stored(self, filename: str) -> Stored | None:
        usable = OUTPUT_NAME.fullmatch(filename) and Path(filename).suffix in SUFFIXES
        return self.outputs.find(filename) if usable else None

    def made_image(self, filename: str) -> MadeImage | None:
        """The image and its job, if that is known still; its file may be gone."""
        sent_at = time_in(filename)
        return None if sent_at is None else self.store.gallery.find(filename, sent_at)

    def read_output(self, filename: str, caller: Caller) -> bytes:
        """Its content. Raises what `output` raises."""
        return self.outputs.read(self.output(filename, caller).name)

    def no_output(self, filename: str, caller: Caller) -> UnknownOutput:
        """The error that says that it is not there, and why if that is known and the caller's business."""
        made = self.made_image(filename)
        if made is not None and made.deleted and caller.may_use(made.job.owner):
            return UnknownOutput(f"the output '{filename}' was deleted", remedy=MADE_AGAIN)
        days, asked = self._limits.keep_outputs_days, time_in(filename)
        if days and asked is not None and datetime.now(UTC) - asked > timedelta(days=days):
            return UnknownOutput(
                f"the output '{filename[:100]}' was removed: images are kept for {days:g} days",
                remedy=MADE_AGAIN,
            )
        return UnknownOutput(f"there is no output '{filename[:100]}'")


def _check_priority(priority: Priority, caller: Caller) -> None:
    """Interactive jobs go before everybody's. Raises Forbidden."""
    if priority is Priority.INTERACTIVE and not caller.is_admin:
        raise Forbidden(
            "priority 'interactive' goes before everybody's jobs, and is for admins",
            field="priority",
            remedy="use 'normal': the queue is fair among keys",
        )
