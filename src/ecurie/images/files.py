"""The outputs folder: images with their provenance inside, whole or not there at all."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from ecurie.domain import GenerationRequest, ImageFile, Setup
from ecurie.images.formats import Provenance, suffix_of, write_image
from ecurie.images.infotext import write_infotext
from ecurie.images.manifest import manifest_of
from ecurie.images.whole_files import write_whole

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
    """Saves the images of one job. A job run again writes the same names, so nothing is left twice.

    Names are `{model}_{time of the job}_{8 hex of job and image}` with the format's ending, or `fixed_name`
    (numbered from the second image on).
    """

    folder: Path
    job_id: str
    created_at: datetime
    fixed_name: str | None = None

    def name_of(self, request: GenerationRequest, index: int) -> str:
        if self.fixed_name is not None:
            stem, suffix = os.path.splitext(self.fixed_name)
            return self.fixed_name if index == 0 else f"{stem}-{index + 1}{suffix}"
        digest = hashlib.sha256(f"{self.job_id}:{index}".encode()).hexdigest()[:8]
        suffix = suffix_of(request.format)
        return f"{request.model}_{self.created_at:%Y%m%d_%H%M%S}_{digest}{suffix}"

    def save(self, image: Image.Image, request: GenerationRequest, index: int, setup: Setup) -> ImageFile:
        """Write the image and its provenance, whole or not at all. Raises StorageFull."""
        told = provenance_of(request, index, setup) if request.metadata else None
        target = self.folder / self.name_of(request, index)
        write_whole(target, lambda file: write_image(file, image, request.format, request.quality, told))
        return ImageFile(target.name, request.seed_of(index), image.width, image.height)

    def discard(self, images: Iterable[ImageFile]) -> None:
        for image in images:
            (self.folder / image.filename).unlink(missing_ok=True)


def provenance_of(request: GenerationRequest, index: int, setup: Setup) -> Provenance:
    """What is told in image `index` of a request."""
    parameters = write_infotext(request, request.seed_of(index), setup)
    return Provenance(parameters, manifest_of(request, index, setup).to_json())
