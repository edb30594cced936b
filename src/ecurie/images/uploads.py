"""The uploads folder: pictures that clients sent, kept by their content."""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ecurie.domain import PictureUse
from ecurie.errors import BodyTooLarge, InvalidRequest, UnknownPicture
from ecurie.images.incoming import MEDIA_TYPES, check_picture, sniff
from ecurie.images.whole_files import write_whole

PICTURE_ID = re.compile(r"[0-9a-f]{32}")
DAY = 24 * 60 * 60


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
    """Pictures by id. `outputs` is the folder of finished images, which may be used as pictures too."""

    def __init__(self, folder: Path, outputs: Path, limits: UploadLimits):
        self._folder, self._outputs, self.limits = folder.absolute(), outputs, limits

    def add(self, content: bytes, field: str) -> Upload:
        """Check a picture and keep it; the same one again is the same upload.

        Raises BodyTooLarge, InvalidRequest or StorageFull.
        """
        self.refuse_large(len(content), field)
        sniffed = check_picture(content, field, self.limits.pixels)
        use = self._use_of(content, sniffed.format)
        file = Path(use.file)
        if file.is_file() and not file.is_symlink():
            os.utime(file)
        else:
            write_whole(file, lambda opened: opened.write(content))
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
        file = self._file_of(picture_id, field)
        content = file.read_bytes()
        sniffed = sniff(content, field or "id", self.limits.pixels)
        use = self._use_of(content, sniffed.format)
        if use.file != str(file):
            raise InvalidRequest(
                f"the upload {file.name} has been changed on the disk",
                field=field,
                remedy="remove it, then send the picture again",
            )
        os.utime(file)
        return Upload(use, sniffed.format, sniffed.width, sniffed.height, len(content))

    def add_output(self, filename: str, field: str) -> Upload:
        """A finished image, kept as a picture from now on. Raises UnknownPicture for what is none."""
        file = self._outputs / filename
        if file.is_symlink() or not file.is_file():
            raise UnknownPicture(f"{field}: there is no output '{filename}'", field=field)
        self.refuse_large(file.stat().st_size, field)
        return self.add(file.read_bytes(), field)

    def remove(self, picture_id: str) -> None:
        """Raises UnknownPicture."""
        self._file_of(picture_id, None).unlink(missing_ok=True)

    def older_than(self, days: float) -> list[str]:
        """Ids of the uploads that nobody sent or used for so many days."""
        oldest = time.time() - days * DAY
        return [
            file.stem
            for file in self._folder.glob("*.*")
            if PICTURE_ID.fullmatch(file.stem) and file.lstat().st_mtime < oldest
        ]

    def remove_all(self, picture_ids: Iterable[str]) -> None:
        for picture_id in picture_ids:
            self.remove(picture_id)

    def _use_of(self, content: bytes, name: str) -> PictureUse:
        digest = hashlib.sha256(content).hexdigest()
        return PictureUse(str(self._folder / f"{digest[:32]}.{name}"), digest)

    def _file_of(self, picture_id: str, field: str | None) -> Path:
        if PICTURE_ID.fullmatch(picture_id):
            for name in MEDIA_TYPES:
                file = self._folder / f"{picture_id}.{name}"
                if file.is_file() and not file.is_symlink():
                    return file
        raise UnknownPicture(
            f"there is no picture '{picture_id[:100]}'", field=field, remedy="send it to POST /images"
        )
