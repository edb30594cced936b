"""Asking a server for images, from Python: `Client`, and `AsyncClient` for asyncio and trio.

    from ecurie.client import Client

    with Client() as client:
        client.generate("red apple", seed=7).image.save("apple.png")

It needs httpx2 and this folder with `errors.py` beside it, nothing else of Écurie.
"""

from ecurie.client.asynchronous import AsyncClient, AsyncImage, AsyncJob, AsyncPicture, AsyncSweep
from ecurie.client.errors import (
    ClientError,
    JobCancelled,
    JobFailed,
    NotEnded,
    Refused,
    ServerError,
    Unavailable,
    Unreachable,
)
from ecurie.client.following import Progress
from ecurie.client.handles import Result
from ecurie.client.synchronous import Client, Image, Job, Picture, Sweep

__all__ = [
    "AsyncClient",
    "AsyncImage",
    "AsyncJob",
    "AsyncPicture",
    "AsyncSweep",
    "Client",
    "ClientError",
    "Image",
    "Job",
    "JobCancelled",
    "JobFailed",
    "NotEnded",
    "Picture",
    "Progress",
    "Refused",
    "Result",
    "ServerError",
    "Sweep",
    "Unavailable",
    "Unreachable",
]
