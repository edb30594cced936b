"""Pictures that clients sent, kept by their content."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ecurie.domain import PictureUse
from ecurie.errors import BodyTooLarge, InvalidRequest, UnknownPicture
from ecurie.images.incoming import MEDIA_TYPES, Sniffed, check_picture, sniff
from ecurie.images.storage import Storage

PICTURE_ID = re.compile(r"[0-9a-f]{32}")
DAY = 24 * 60 * 60
MOST_SNIFFED = 10_000


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """`pixels` counts all frames of a picture."""

    bytes: int
    pixels: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that is here; its size is the one it has when it stands upright."""

    use: PictureUse
    format: str
    width: int
    height: int
    bytes: int

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]


class Pictures:
    """Pictures by id. `outputs` holds the finished images, which may be used as pictures too.

    Each method raises StorageUnavailable when one of the two cannot be reached.
    """

    def __init__(self, uploads: Storage, outputs: Storage, limits: UploadLimits):
        self.uploads, self.outputs, self.limits = uploads, outputs, limits
        self._sniffed: dict[str, Sniffed] = {}

    def add(self, content: bytes, field: str) -> Upload:
        """Check a picture and keep it; the same one again is the same upload.

        Raises BodyTooLarge, InvalidRequest or StorageFull.
        """
        self.refuse_large(len(content), field)
        sniffed = check_picture(content, field, self.limits.pixels)
        use = self._use_of(content, sniffed.format)
        if self.uploads.find(use.file) is None:
            self.uploads.write_whole(use.file, lambda opened: opened.write(content))
        else:
            self.uploads.touch(use.file)
        return Upload(use, sniffed.format, sniffed.width, sniffed.height, len(content))

    def refuse_large(self, size: int, field: str) -> None:
        if size > self.limits.bytes:
            raise BodyTooLarge(
                f"{field}: a picture may hold {self.limits.bytes:,} bytes",
                field=field,
                remedy="send a smaller one, or raise max_upload_bytes",
            )

    def find(self, picture_id: str, field: str | None = None) -> Upload:
        """The upload of this id, which now counts as used. Raises UnknownPicture or InvalidRequest."""
        name = self._name_of(picture_id, field)
        content = self.uploads.read(name)
        sniffed = self._sniff(content, field or "id")
        use = self._use_of(content, sniffed.format)
        if use.file != name:
            raise InvalidRequest(
                f"the upload {name} has been changed where it is kept",
                field=field,
                remedy="remove it, then send the picture again",
            )
        self.uploads.touch(name)
        return Upload(use, sniffed.format, sniffed.width, sniffed.height, len(content))

    def _sniff(self, content: bytes, field: str) -> Sniffed:
        """Remembered by its content: a PNG is decoded for it, and a sweep asks at each of its cells."""
        digest = hashlib.sha256(content).hexdigest()
        if digest not in self._sniffed:
            found = sniff(content, field, self.limits.pixels)
            if len(self._sniffed) >= MOST_SNIFFED:
                self._sniffed.clear()
            self._sniffed[digest] = found
        return self._sniffed[digest]

    def add_output(self, filename: str, field: str) -> Upload:
        """A finished image, kept as a picture from now on. Raises UnknownPicture for what is none."""
        found = self.outputs.find(filename)
        if found is None:
            raise UnknownPicture(f"{field}: there is no output '{filename}'", field=field)
        self.refuse_large(found.bytes, field)
        return self.add(self.outputs.read(filename), field)

    def content(self, use: PictureUse) -> bytes:
        """The file of a picture that is kept here; what an earlier release stored as its path is found by the
        name. Raises OSError."""
        return self.uploads.read(Path(use.file).name)

    def remove(self, picture_id: str) -> None:
        """Raises UnknownPicture."""
        self.uploads.remove(self._name_of(picture_id, None))

    def older_than(self, days: float) -> list[str]:
        """Ids of the uploads that nobody sent or used for so many days."""
        oldest = time.time() - days * DAY
        return [
            stem
            for stored in self.uploads.all()
            if PICTURE_ID.fullmatch(stem := Path(stored.name).stem) and stored.modified < oldest
        ]

    def remove_all(self, picture_ids: Iterable[str]) -> None:
        for picture_id in picture_ids:
            self.remove(picture_id)

    @staticmethod
    def _use_of(content: bytes, image_format: str) -> PictureUse:
        digest = hashlib.sha256(content).hexdigest()
        return PictureUse(f"{digest[:32]}.{image_format}", digest)

    def _name_of(self, picture_id: str, field: str | None) -> str:
        if PICTURE_ID.fullmatch(picture_id):
            for image_format in MEDIA_TYPES:
                name = f"{picture_id}.{image_format}"
                if self.uploads.find(name) is not None:
                    return name
        raise self.unknown(picture_id, field)

    @staticmethod
    def unknown(picture_id: str, field: str | None) -> UnknownPicture:
        return UnknownPicture(
            f"there is no picture '{picture_id[:100]}'", field=field, remedy="send it to POST /images"
        )
