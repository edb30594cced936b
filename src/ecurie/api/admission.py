"""Who is let in: by an API key, by a signed link to one image, or without anything where no key is needed."""

from __future__ import annotations

import binascii
import ipaddress
from base64 import b64decode
from dataclasses import dataclass

from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.types import Scope

from ecurie.access.limits import Rates
from ecurie.access.ring import KeyRing
from ecurie.access.signing import Signer
from ecurie.domain import LOCAL, NOBODY, Caller
from ecurie.errors import Forbidden, LimitReached, Unauthorized

OUTPUTS, THUMBNAIL = "/outputs/", "/thumbnail"

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
"""That need no key: they tell nothing, and who is asked for a key must be able to say so."""
PAGE_FILES = "/web/"
"""The page asks for the key, so it is open itself."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """`keyed`: keys are in force. `by_link`: to read this one image, whosever it is."""

    caller: Caller
    keyed: bool = False
    by_link: bool = False


class Admission:
    def __init__(self, ring: KeyRing, rates: Rates, signer: Signer):
        self._ring, self._rates, self._signer = ring, rates, signer

    async def admit(self, scope: Scope, headers: Headers) -> Admitted:
        """Raises Unauthorized, LimitReached, Forbidden for a link that has expired, or StoreUnavailable.

        Where no key is needed, whatever is sent as one is not looked at.
        """
        if self._ring.stale:
            await run_in_threadpool(self._ring.refresh)
        if not self._ring.needed:
            return Admitted(LOCAL)
        link = _link_in(scope)
        if link is not None and self._signer.is_valid(*link):
            return Admitted(NOBODY, keyed=True, by_link=True)
        secret = key_in(headers)
        if secret is None and link is not None:
            raise Forbidden(
                "this link has expired, or is not one of this server", remedy="ask for its job again"
            )
        return Admitted(self._caller_of(secret, scope), keyed=True)

    def _caller_of(self, secret: bytes | None, scope: Scope) -> Caller:
        """Right keys of the table are let in also when others at the same address guess: of 256 random bits
        nobody guesses any. The server's own key was chosen by somebody, so it must wait with the others."""
        if secret is None:
            raise _unauthorized()
        client = network_of(scope)
        locked_out = self._rates.lock_out(client)
        caller = self._ring.caller_of(secret, or_server_key=locked_out is None)
        if caller is None:
            if locked_out is not None:
                raise LimitReached("too many wrong API keys came from this address", retry_after=locked_out)
            self._rates.note_wrong_key(client)
            raise _unauthorized()
        self._rates.count_request(caller)
        return caller


def _unauthorized() -> Unauthorized:
    """The same for a key that never was, one that is revoked, and none."""
    return Unauthorized(
        "no valid API key was sent",
        remedy="send the header Authorization: Bearer KEY, or the key as the password of HTTP Basic",
    )


def key_in(headers: Headers) -> bytes | None:
    """A bearer token, or the password of HTTP Basic, whatever the user's name; None for what is neither, or
    empty."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    secret = given.strip().encode("latin-1")
    if scheme.casefold() == "basic":
        try:
            secret = b64decode(secret, validate=True).partition(b":")[2]
        except binascii.Error:
            return None
    elif scheme.casefold() != "bearer":
        return None
    return secret or None


def network_of(scope: Scope) -> str:
    """The client's address; of IPv6 the /64, of which a single client has all."""
    client = scope.get("client")
    try:
        address = ipaddress.ip_address(client[0] if client else "")
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
        address = address.ipv4_mapped
    return str(address)


def _link_in(scope: Scope) -> tuple[str, str, str] | None:
    """(file name, expires, signature) of a request for an image, where it says them."""
    if scope["method"] != "GET" or not scope["path"].startswith(OUTPUTS):
        return None
    query = QueryParams(scope["query_string"])
    if "signature" not in query:
        return None
    filename = scope["path"].removeprefix(OUTPUTS).removesuffix(THUMBNAIL)
    return filename, query.get("expires", ""), query["signature"]
