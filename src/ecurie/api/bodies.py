"""Bodies of requests: read whole before a route sees them, within a size and a time, and no bomb for the JSON
reader."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import Message, Receive

from ecurie.errors import BodyTooLarge, MalformedBody, RequestTooSlow

MOST_VALUES = 50_000
"""Of a JSON body: a hundred thousand empty objects cost half a megabyte to send, and seconds to refuse."""
NO_JSON = (b"\x89PNG", b"RIFF", b"\xff\xd8", b"--")
"""Beginnings of pictures and of forms, which may hold as many of these marks as they like."""


async def read_body(receive: Receive, headers: Headers, most: int, seconds: float) -> Receive:
    """What gives the body at once, once it is here.

    Raises BodyTooLarge for one of more than `most` bytes, also where it says another length or none;
    RequestTooSlow where it is not whole after `seconds`; MalformedBody for JSON of too many values.
    """
    _check_length(headers, most)
    if "content-length" not in headers and "transfer-encoding" not in headers:
        return receive
    try:
        async with asyncio.timeout(seconds):
            body = await _whole(receive, most)
    except TimeoutError:
        raise RequestTooSlow(
            f"the body was not here after {seconds:g} seconds",
            remedy="send it faster, or raise receive_seconds",
        ) from None
    if body is None:
        return receive
    _refuse_many_values(body)
    return _with_body(body, receive)


def _check_length(headers: Headers, most: int) -> None:
    length = headers.get("content-length", "0")
    # More digits than a length has are a number that Python would refuse to read.
    if not length.isdecimal() or len(length) > 20 or int(length) > most:
        raise BodyTooLarge(f"the body may hold {most:,} bytes")


async def _whole(receive: Receive, most: int) -> bytes | None:
    """None where the client has left."""
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise BodyTooLarge(f"the body may hold {most:,} bytes")
    return bytes(body)


def _refuse_many_values(body: bytes) -> None:
    """By the marks before values, which base64 does not hold and prompts hold few of."""
    if body.startswith(NO_JSON):
        return
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise MalformedBody(f"the body holds more than {MOST_VALUES:,} values")


def _with_body(body: bytes, receive: Receive) -> Receive:
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
