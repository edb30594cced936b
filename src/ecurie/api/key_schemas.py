"""What requests and responses say of API keys."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ecurie.access.keys import LONGEST_NAME, ApiKey, NewKey
from ecurie.domain import Allowance, Role

Most = Annotated[int, Field(ge=1, le=10**15)]


class LimitsBody(BaseModel):
    """Limits of a key; null: none."""

    model_config = ConfigDict(extra="forbid", strict=True)

    requests_per_minute: Most | None = None
    pixels_per_day: Most | None = Field(None, description="Of finished images, in any 24 hours")
    queued_jobs: Most | None = Field(None, description="That wait at a time")

    def allowance(self, before: Allowance) -> Allowance:
        """What is not said stays as it was."""
        given = self.model_dump(include=set(LimitsBody.model_fields), exclude_unset=True)
        return Allowance(**(asdict(before) | given))


class KeyBody(LimitsBody):
    """The body of `POST /keys`."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, description="Whose it is, for people to read")
    role: Annotated[Role, Field(strict=False)]


class KeyOut(BaseModel):
    """`key_prefix` is how the key begins; the key itself is not kept."""

    id: str
    name: str
    role: Role
    key_prefix: str
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To five minutes")
    requests_per_minute: int | None
    pixels_per_day: int | None
    queued_jobs: int | None


class NewKeyOut(KeyOut):
    key: str = Field(description="Shown this once")


class KeysOut(BaseModel):
    keys: list[KeyOut]


def key_out(key: ApiKey) -> KeyOut:
    return KeyOut(
        id=key.id,
        name=key.name,
        role=key.role,
        key_prefix=key.prefix,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
        **asdict(key.allowance),
    )


def new_key_out(new: NewKey) -> NewKeyOut:
    return NewKeyOut(**key_out(new.key).model_dump(), key=new.secret)
