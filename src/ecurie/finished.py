"""The use cases of finished images: found again, seen small, deleted."""

from __future__ import annotations

from dataclasses import replace

from ecurie.domain import LOCAL, Caller
from ecurie.images.small import RecentlySmall, Side, small_file
from ecurie.images.storage import Stored
from ecurie.jobs.gallery import MadeImage, Place, Wanted
from ecurie.service import Service


class FinishedImages:
    """Those of a service's jobs."""

    def __init__(self, service: Service):
        self._service, self._recent = service, RecentlySmall()

    def page(self, wanted: Wanted, before: Place | None, limit: int, caller: Caller) -> list[MadeImage]:
        """The newest first, of those that the caller may see and whose files are there."""
        owner = None if caller.is_admin else caller.owner
        return self._service.store.gallery.page(replace(wanted, owner=owner), before, limit)

    def thumbnail(self, stored: Stored, side: Side) -> bytes:
        """Of a finished image, as WebP. Raises UnknownOutput if it was removed just now."""
        name = f"{stored.name} {stored.state} {side}"
        found = self._recent.get(name)
        if found is None:
            try:
                content = self._service.outputs.read(stored.name)
            except FileNotFoundError:
                raise self._service.no_output(stored.name, LOCAL) from None
            found = small_file(content, side)
            self._recent.keep(name, found)
        return found

    def delete(self, filename: str, caller: Caller) -> None:
        """Remove an image for good; its job, and how the image was made, stay.

        Raises UnknownOutput, also for one that is not the caller's.
        """
        made = self._service.made_image(filename)
        if made is None or made.deleted or not caller.may_use(made.job.owner):
            # One whose job was forgotten is known by its file alone.
            self._service.output(filename, caller)
        self._service.outputs.remove(filename)
        self._service.store.gallery.forget(filename, made)
