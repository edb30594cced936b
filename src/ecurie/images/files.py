"""Finished images, with their provenance inside: whole or not there at all."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from PIL import Image

from ecurie.domain import GenerationRequest, ImageFile, Job, Setup
from ecurie.errors import StorageUnavailable
from ecurie.images.formats import Provenance, suffix_of, write_image
from ecurie.images.infotext import write_infotext
from ecurie.images.manifest import manifest_of
from ecurie.images.storage import Storage

log = logging.getLogger(__name__)

TIME = re.compile(r"_(\d{8}_\d{6})_[0-9a-f]{8}\.")


def time_in(filename: str) -> datetime | None:
    """When the job of an output was sent, as its name says."""
    found = TIME.search(filename)
    try:
        return datetime.strptime(found[1], "%Y%m%d_%H%M%S").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """Saves the images of one run of a job.

    Names are `{model}_{time of the job}_{8 hex of job, attempt and image}` with the format's ending, or
    `fixed_name` (numbered from the second image on). Each run has names of its own, so that one which has
    lost its job can neither overwrite nor remove what the next one makes.
    """

    storage: Storage
    job_id: str
    created_at: datetime
    fixed_name: str | None = None
    attempt: int = 1

    def name_of(self, request: GenerationRequest, index: int) -> str:
        if self.fixed_name is not None:
            stem, suffix = os.path.splitext(self.fixed_name)
            return self.fixed_name if index == 0 else f"{stem}-{index + 1}{suffix}"
        digest = hashlib.sha256(f"{self.job_id}:{self.attempt}:{index}".encode()).hexdigest()[:8]
        suffix = suffix_of(request.format)
        return f"{request.model}_{self.created_at:%Y%m%d_%H%M%S}_{digest}{suffix}"

    def save(self, image: Image.Image, request: GenerationRequest, index: int, setup: Setup) -> ImageFile:
        """Write the image and its provenance, whole or not at all.

        Raises StorageFull or StorageUnavailable.
        """
        told = provenance_of(request, index, setup) if request.metadata else None
        name = self.name_of(request, index)
        self.storage.write_whole(
            name, lambda file: write_image(file, image, request.format, request.quality, told)
        )
        return ImageFile(name, request.seed_of(index), image.width, image.height)

    def discard(self, images: Iterable[ImageFile]) -> None:
        """Remove them. What the storage does not let go now is told: another error is on its way already."""
        for image in images:
            try:
                self.storage.remove(image.filename)
            except StorageUnavailable as error:
                log.warning("%s stays: %s", image.filename, error)


def discard_runs(storage: Storage, job: Job, attempts: Iterable[int]) -> None:
    """Remove what runs of a job left that ended without committing it: whole images and partial files.

    A fault of the storage is logged only: the job matters more than what is left of it.
    """
    try:
        for attempt in attempts:
            outputs = OutputFolder(storage, job.id, job.created_at, attempt=attempt)
            for index in range(job.request.num_images):
                storage.discard(outputs.name_of(job.request, index))
    except (OSError, StorageUnavailable) as error:
        log.error("job %s: what a lost run left cannot be removed: %s", job.id, error)


def provenance_of(request: GenerationRequest, index: int, setup: Setup) -> Provenance:
    """What is told in image `index` of a request."""
    parameters = write_infotext(request, request.seed_of(index), setup)
    return Provenance(parameters, manifest_of(request, index, setup).to_json())
