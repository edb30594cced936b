"""An S3-compatible server on this machine: moto's, in a process of its own when it must die."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from moto.server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@dataclass(frozen=True)
class Bucket:
    """`url` is a prefix in a fresh bucket."""

    endpoint: str
    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes an `ecurie` process use it."""
        return {"ECURIE_OUTPUTS_URL": self.url, "ECURIE_S3_ENDPOINT_URL": self.endpoint, **CREDENTIALS}


@contextmanager
def object_store(port: int = 0) -> Iterator[str]:
    """The endpoint of a running server."""
    os.environ.update(CREDENTIALS)
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    try:
        host, taken = server.get_host_and_port()
        yield f"http://{host}:{taken}"
    finally:
        server.stop()


def new_bucket(endpoint: str) -> Bucket:
    import s3fs

    name = f"images-{uuid.uuid4().hex[:8]}"
    s3fs.S3FileSystem(endpoint_url=endpoint).mkdir(name)
    return Bucket(endpoint, f"s3://{name}/ecurie")
