"""A TIFF block of our own, as EXIF: Pillow's writer stores UserComment so that A1111's reader cannot read it.

Big-endian; IFD0 holds nothing but the pointer to the Exif IFD, and that the values, of type 7 (undefined).
Tags and types: EXIF 2.32, sections 4.6.2, 4.6.3 and 4.6.5.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

EXIF_POINTER, MAKER_NOTE, USER_COMMENT = 0x8769, 0x927C, 0x9286
LONG, UNDEFINED = 4, 7
HEADER_BYTES, ENTRY_BYTES = 8, 12
MOST_ENTRIES = 500
UNICODE = b"UNICODE\0"
ASCII = b"ASCII\0\0\0"
APP1_PREFIX = b"Exif\0\0"


def write_exif(values: Mapping[int, bytes]) -> bytes:
    """The block with these tags in its Exif IFD."""
    exif_at = HEADER_BYTES + 2 + ENTRY_BYTES + 4
    data_at = exif_at + 2 + len(values) * ENTRY_BYTES + 4
    entries, data = b"", b""
    for tag, value in sorted(values.items()):
        if len(value) <= 4:
            entries += struct.pack(">HHI4s", tag, UNDEFINED, len(value), value)
        else:
            entries += struct.pack(">HHII", tag, UNDEFINED, len(value), data_at + len(data))
            data += value
    header = struct.pack(">2sHI", b"MM", 42, HEADER_BYTES)
    first = struct.pack(">HHHII", 1, EXIF_POINTER, LONG, 1, exif_at)
    return header + first + bytes(4) + struct.pack(">H", len(values)) + entries + bytes(4) + data


def user_comment(text: str) -> bytes:
    return UNICODE + text.encode("utf-16-be")


def read_exif(block: bytes) -> dict[int, bytes]:
    """The values of one byte each (types 1, 2, 7) in IFD0 and the Exif IFD; nothing of a damaged block."""
    block = block.removeprefix(APP1_PREFIX)
    order = {b"MM": ">", b"II": "<"}.get(block[:2])
    if order is None:
        return {}
    found: dict[int, bytes] = {}
    try:
        (first,) = struct.unpack_from(f"{order}I", block, 4)
        pointer = _read_directory(block, order, first, found)
        if pointer is not None:
            _read_directory(block, order, pointer, found)
    except struct.error:
        pass
    return found


def _read_directory(block: bytes, order: str, at: int, found: dict[int, bytes]) -> int | None:
    """Adds its values; returns where the Exif IFD is."""
    pointer = None
    (count,) = struct.unpack_from(f"{order}H", block, at)
    for number in range(min(count, MOST_ENTRIES)):
        place = at + 2 + number * ENTRY_BYTES
        tag, kind, length, value = struct.unpack_from(f"{order}HHII", block, place)
        if tag == EXIF_POINTER:
            pointer = value
        elif kind in (1, 2, UNDEFINED):
            start = place + 8 if length <= 4 else value
            found.setdefault(tag, block[start : start + length])
    return pointer


def comment_text(value: bytes) -> str:
    """The text of a UserComment. Its byte order is not told anywhere: A1111 writes big-endian, others little;
    Latin letters have their zero byte first or second."""
    text = value[len(UNICODE) :]
    if value.startswith(ASCII):
        return text.decode("utf-8", "replace")
    if not value.startswith(UNICODE):
        return value.decode("utf-8", "replace")
    little = text[1::2].count(0) > text[::2].count(0)
    return text.decode("utf-16-le" if little else "utf-16-be", "replace")
