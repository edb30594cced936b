"""Files of a storage as answers: whole or a range of them, and not again to who has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from ecurie.images.incoming import MEDIA_TYPES
from ecurie.images.storage import Storage

CHUNK_BYTES = 1 << 18
# Of several ranges none is followed: the whole file is an answer that every client takes.
ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


CONTENT = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()}
FILE_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": CONTENT},
    206: {"description": "The range of it that was asked for", "content": CONTENT},
    304: {"description": "It is what `If-None-Match` says"},
    416: {"description": "It has no such range"},
}
"""Of OpenAPI."""


@dataclass(frozen=True, slots=True)
class Served:
    """A file by its name and size; `state` is another one when its content is."""

    name: str
    bytes: int
    state: str
    media_type: str


def file_answer(storage: Storage, file: Served, request: Request) -> Response:
    """200, 206 for one range, 304 for a client that has this state of the file, 416 for a range outside.

    Raises FileNotFoundError or StorageUnavailable.
    """
    etag = etag_of(file.state)
    # The file of a job that runs twice is written again, so clients are to ask.
    headers = {"etag": etag, "cache-control": "private, no-cache", "accept-ranges": "bytes"}
    if is_known(etag, request):
        return Response(status_code=304, headers=headers)
    begin, end, status = 0, file.bytes, 200
    wanted = ONE_RANGE.fullmatch(request.headers.get("range", ""))
    if wanted and any(wanted.groups()) and request.headers.get("if-range", etag) == etag:
        begin, end = _extent(wanted[1], wanted[2], file.bytes)
        if begin >= end:
            return Response(status_code=416, headers=headers | {"content-range": f"bytes */{file.bytes}"})
        status = 206
        headers["content-range"] = f"bytes {begin}-{end - 1}/{file.bytes}"
    headers["content-length"] = str(end - begin)
    opened = storage.open(file.name)
    return StreamingResponse(_part(opened, begin, end), status, headers, file.media_type)


def etag_of(state: str) -> str:
    return f'"{state}"'


def is_known(etag: str, request: Request) -> bool:
    """Whether the client has what this ETag stands for."""
    known = request.headers.get("if-none-match", "").replace("W/", "").split(",")
    return etag in (tag.strip() for tag in known)


def _extent(first: str, last: str, size: int) -> tuple[int, int]:
    """(begin, end) in bytes; `-500` are the last 500."""
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(int(last) + 1, size) if last else size


def _part(file: IO[bytes], begin: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(begin)
        while begin < end and (data := file.read(min(CHUNK_BYTES, end - begin))):
            begin += len(data)
            yield data
