"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """`user`: its own jobs and images; `admin`: everybody's, and what changes the server for all."""

    ADMIN = "admin"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What an API key may use at most; None: as much as it likes. Pixels are those of finished images, over
    the last 24 hours."""

    requests_per_minute: int | None = None
    pixels_per_day: int | None = None
    queued_jobs: int | None = None


UNLIMITED = Allowance()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `owner` is the id of its API key, whose jobs and images are its own; '' for those
    who need no key, and for who has the server's own key."""

    owner: str
    role: Role
    allowance: Allowance = UNLIMITED

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    def may_use(self, owner: str) -> bool:
        """Whether jobs and images of this owner exist for it."""
        return self.is_admin or owner == self.owner


LOCAL = Caller("", Role.ADMIN)
"""Everybody, where no key is needed; and who has the server's own key."""

NOBODY = Caller("nobody", Role.USER)
"""Who has no key, only a link to one image. No key has this id."""
