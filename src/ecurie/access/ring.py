"""Whose a key is, asked at every request: the keys in memory, read again twice a second."""

from __future__ import annotations

import hmac
import logging
import threading
import time

from ecurie.access.keys import ApiKey, KeyStore, hash_of
from ecurie.domain import LOCAL, Caller
from ecurie.errors import EcurieError

log = logging.getLogger(__name__)
FRESH_SECONDS = 0.5
"""How long a key that was revoked may still be taken for a good one."""
USE_SECONDS = 300.0
"""How exactly it is kept when a key was used last."""


class KeyRing:
    """`server_key` is the one of the settings, an admin's. `always`: a key is needed even where there is
    none, since strangers reach the server."""

    def __init__(self, keys: KeyStore, server_key: str | None = None, *, always: bool = False):
        self._keys = keys
        self._server_key = None if server_key is None else server_key.encode()
        self._always = always
        self._known: dict[str, ApiKey] | None = None
        self._read_at = float("-inf")
        self._used: set[str] = set()
        self._one_at_a_time = threading.Lock()

    @property
    def stale(self) -> bool:
        return time.monotonic() - self._read_at > FRESH_SECONDS

    def look_again(self) -> None:
        """At the next request: a key was changed here."""
        with self._one_at_a_time:
            self._read_at = float("-inf")

    def refresh(self) -> None:
        """Read the keys anew, once for all who ask meanwhile. While the database does not answer those that
        were read last are believed: nothing can be revoked there now.

        Raises StoreUnavailable when they were never read.
        """
        if not self._one_at_a_time.acquire(blocking=self._known is None):
            return
        try:
            if self.stale:
                self._read()
        finally:
            self._one_at_a_time.release()

    def _read(self) -> None:
        began = time.monotonic()
        try:
            self._known = self._keys.by_hash()
        except EcurieError as error:
            if self._known is None:
                raise
            log.error("the API keys cannot be read now: %s", error)
            began = time.monotonic()
        self._read_at = began
        try:
            self._note_uses()
        except EcurieError as error:
            log.error("when keys were used last cannot be written now: %s", error)

    def _note_uses(self) -> None:
        used, self._used = self._used, set()
        now = time.time()
        for key in (self._known or {}).values():
            seen = key.last_used_at.timestamp() if key.last_used_at else 0.0
            if key.id in used and now - seen > USE_SECONDS:
                self._keys.note_use(key.id)

    @property
    def needed(self) -> bool:
        """Whether requests need a key: one of the settings, any of the table (a revoked one too: to revoke
        the last key must not open the server), or since strangers reach it."""
        return self._always or self._server_key is not None or bool(self._known)

    def caller_of(self, secret: bytes, *, or_server_key: bool = True) -> Caller | None:
        """None for what is no key, or none any more. In both cases the same work is done.

        The look-up by hash may take longer for some hashes than for others, which tells nobody anything:
        whoever sends a secret cannot choose how its SHA-256 begins.
        """
        key = (self._known or {}).get(hash_of(secret))
        is_server_key = hmac.compare_digest(secret, self._server_key or b"")
        if is_server_key and or_server_key and self._server_key is not None:
            return LOCAL
        if key is None or key.revoked_at is not None:
            return None
        self._used.add(key.id)
        return key.caller
