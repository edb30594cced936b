"""Links to images that need no key and expire: `?expires=…&signature=…`.

The signature is an HMAC-SHA256 of name and moment, by a secret that is kept in the job database: so all API
processes agree, and a restart keeps links valid.
"""

from __future__ import annotations

import hmac
import math
import secrets
import time
from base64 import urlsafe_b64encode
from urllib.parse import urlencode

import sqlalchemy as sql

from ecurie.access.tables import secrets as secrets_table
from ecurie.jobs.database import client_connection
from ecurie.jobs.owners import insert_new

NAME = "image links"
STEPS = 4
"""Into so many parts the lifetime is divided: within one a link to an image is the same, so that browsers
find what they have."""


class Signer:
    """`seconds`: how long a link holds at least; at most a quarter longer."""

    def __init__(self, secret: bytes, seconds: int):
        self._secret, self._seconds = secret, seconds

    def query(self, filename: str) -> str:
        """What makes the URL of this output a link."""
        step = max(1, self._seconds // STEPS)
        expires = str(math.ceil((time.time() + self._seconds) / step) * step)
        return urlencode({"expires": expires, "signature": self._signature(filename, expires)})

    def is_valid(self, filename: str, expires: str, signature: str) -> bool:
        right = hmac.compare_digest(
            self._signature(filename, expires).encode(), signature.encode("utf-8", "replace")
        )
        return right and int(expires) > time.time()

    def _signature(self, filename: str, expires: str) -> str:
        # No name holds a line break.
        signed = f"{filename}\n{expires}".encode("utf-8", "surrogatepass")
        return urlsafe_b64encode(hmac.digest(self._secret, signed, "sha256")).rstrip(b"=").decode()


def signing_secret(database: sql.Engine) -> bytes:
    """The one of this database, drawn at first use. Raises StoreUnavailable or StorageFull."""
    with client_connection(database) as connection:
        insert_new(connection, secrets_table, [{"name": NAME, "value": secrets.token_bytes(32)}])
        query = sql.select(secrets_table.c.value).where(secrets_table.c.name == NAME)
        return bytes(connection.execute(query).scalar_one())
