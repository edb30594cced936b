"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """`user`: its own jobs and images; `admin`: everybody's, and what changes the server for all."""

    ADMIN = "admin"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request. `owner` is the id of its API key, whose jobs and images are its own; '' for those
    who need no key."""

    owner: str
    role: Role

    def may_use(self, owner: str) -> bool:
        """Whether jobs and images of this owner exist for it."""
        return self.role is Role.ADMIN or owner == self.owner


LOCAL = Caller("", Role.ADMIN)
"""Everybody, where no key is needed."""
