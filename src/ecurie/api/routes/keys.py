"""API keys, for admins: the same as `ecurie keys` does on the server's machine."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from ecurie.access.keys import KeyStore
from ecurie.access.ring import KeyRing
from ecurie.api import key_schemas
from ecurie.api.deps import get_admin
from ecurie.domain import UNLIMITED

router = APIRouter(prefix="/keys", tags=["keys"], dependencies=[Depends(get_admin)])


async def get_keys(request: Request) -> KeyStore:
    keys: KeyStore = request.app.state.keys
    return keys


async def get_ring(request: Request) -> KeyRing:
    ring: KeyRing = request.app.state.ring
    return ring


KeysDep = Annotated[KeyStore, Depends(get_keys)]
RingDep = Annotated[KeyRing, Depends(get_ring)]


@router.get("")
def list_keys(keys: KeysDep) -> key_schemas.KeysOut:
    """All of them, the revoked ones too, the oldest first."""
    return key_schemas.KeysOut(keys=[key_schemas.key_out(key) for key in keys.all()])


@router.post("", status_code=201)
def create_key(
    body: key_schemas.KeyBody, keys: KeysDep, ring: RingDep, response: Response
) -> key_schemas.NewKeyOut:
    """The answer holds the key, this once. From the first key on every request needs one."""
    response.headers["Cache-Control"] = "no-store"
    new = keys.create(body.name, body.role, body.allowance(UNLIMITED))
    ring.look_again()
    return key_schemas.new_key_out(new)


@router.patch("/{key_id}")
def limit_key(key_id: str, body: key_schemas.LimitsBody, keys: KeysDep, ring: RingDep) -> key_schemas.KeyOut:
    """Change its limits; those that are not said stay."""
    limited = keys.limit(key_id, body.allowance(keys.get(key_id).allowance))
    ring.look_again()
    return key_schemas.key_out(limited)


@router.post("/{key_id}/rotate")
def rotate_key(key_id: str, keys: KeysDep, ring: RingDep, response: Response) -> key_schemas.NewKeyOut:
    """Another secret for the same key; the one before is refused from now on, by other API processes of this
    database within a second."""
    response.headers["Cache-Control"] = "no-store"
    new = keys.rotate(key_id)
    ring.look_again()
    return key_schemas.new_key_out(new)


@router.delete("/{key_id}")
def revoke_key(key_id: str, keys: KeysDep, ring: RingDep) -> key_schemas.KeyOut:
    """For good, and as soon as a rotation. Its jobs and images stay, for admins."""
    revoked = keys.revoke(key_id)
    ring.look_again()
    return key_schemas.key_out(revoked)
