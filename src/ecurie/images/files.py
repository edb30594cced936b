"""The outputs folder: images with their provenance inside, whole or not there at all."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ecurie.domain import GenerationRequest, ImageFile, Setup
from ecurie.errors import StorageFull
from ecurie.images.infotext import write_infotext

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PARTIAL_SUFFIX = ".partial"


@dataclass(frozen=True, slots=True)
class OutputFolder:
    """Saves the images of one job. A job run again writes the same names, so nothing is left twice.

    Names are `{model}_{time of the job}_{8 hex of job and image}.png`, or `fixed_name` (numbered from the
    second image on).
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
        return f"{request.model}_{self.created_at:%Y%m%d_%H%M%S}_{digest}.png"

    def save(self, image: Image.Image, request: GenerationRequest, index: int, setup: Setup) -> ImageFile:
        """Write to a temporary name, flush to the disk, rename. Raises StorageFull."""
        seed = request.seed_of(index)
        text = PngInfo()
        text.add_text("parameters", write_infotext(request, seed))
        text.add_itxt("ecurie", json.dumps(manifest(request, seed, setup), ensure_ascii=False))
        target = self.folder / self.name_of(request, index)
        partial = target.with_name(f".{target.name}.{os.getpid()}{PARTIAL_SUFFIX}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                image.save(file, format="PNG", pnginfo=text)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            if error.errno in NO_ROOM:
                raise StorageFull(
                    f"no room to write {target}", remedy="free some space, then send the request again"
                ) from error
            raise
        return ImageFile(target.name, seed, image.width, image.height)

    def discard(self, images: Iterable[ImageFile]) -> None:
        for image in images:
            (self.folder / image.filename).unlink(missing_ok=True)


def manifest(request: GenerationRequest, seed: int, setup: Setup) -> dict[str, object]:
    """Everything that made one image; nothing that differs when it is made again (no time, no job id)."""
    asked = dataclasses.asdict(request)
    del asked["model_path"], asked["num_images"]
    for use in asked["adapters"]:
        del use["file"]
    return {"request": asked | {"seed": seed}, "setup": dataclasses.asdict(setup)}


def remove_partial_files(folder: Path) -> None:
    """Files that a killed process left half written."""
    for file in folder.glob(f".*{PARTIAL_SUFFIX}"):
        file.unlink(missing_ok=True)
