"""The pictures that one caller may use: those that it sent, and its own finished images."""

from __future__ import annotations

from ecurie.domain import Caller
from ecurie.errors import UnknownPicture
from ecurie.images.uploads import PICTURE_ID, Pictures, Upload
from ecurie.jobs.owners import Owners


class CallersPictures(Pictures):
    """Pictures are kept by their content, so one may be several owners'; each sees its own, and what is not
    is unknown."""

    def __init__(self, pictures: Pictures, owners: Owners, caller: Caller):
        super().__init__(pictures.uploads, pictures.outputs, pictures.limits)
        self._owners, self._caller = owners, caller
        # Shared: each cell of a sweep has a caller's pictures of its own.
        self._sniffed = pictures._sniffed

    def add(self, content: bytes, field: str) -> Upload:
        upload = super().add(content, field)
        self.share(upload.use.id)
        return upload

    def share(self, picture_id: str) -> None:
        """From now on it is the caller's too."""
        self._owners.note_sent(picture_id, self._caller.owner)

    def find(self, picture_id: str, field: str | None = None) -> Upload:
        self._check(picture_id, field)
        return super().find(picture_id, field)

    def add_output(self, filename: str, field: str) -> Upload:
        if not (self._caller.is_admin or self._owners.of_output(filename) == self._caller.owner):
            raise UnknownPicture(f"{field}: there is no output '{filename}'", field=field)
        return super().add_output(filename, field)

    def remove(self, picture_id: str) -> None:
        """An admin removes it for all; others for themselves, and the file with the last who sent it."""
        self._check(picture_id, None)
        if self._caller.is_admin:
            super().remove(picture_id)
            self._owners.forget_uploads([picture_id])
        elif self._owners.withdraw(picture_id, self._caller.owner):
            super().remove(picture_id)

    def _check(self, picture_id: str, field: str | None) -> None:
        if self._caller.is_admin:
            return
        if not PICTURE_ID.fullmatch(picture_id) or not self._owners.has_sent(picture_id, self._caller.owner):
            raise self.unknown(picture_id, field)
