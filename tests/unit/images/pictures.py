"""Pictures as clients send them, made by Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image


def saved(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(width: int = 6, height: int = 4, colour: Any = (200, 40, 10)) -> Image.Image:
    return Image.new("RGB", (width, height), colour)


def png(header: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of these chunks, whatever they say."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for name, content in ((b"IHDR", header), *chunks, (b"IEND", b"")):
        crc = zlib.crc32(name + content)
        parts.append(struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc))
    return b"".join(parts)


def png_header(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    return struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)


def bomb(side: int = 19_000) -> bytes:
    """A few kilobytes that would become a gigabyte."""
    rows = zlib.compress(b"\0" * 10_000_000, 9)
    return png(png_header(side, side), (b"IDAT", rows))


def large_webp(side: int = 16_000) -> bytes:
    """A lossless WebP of a few bytes whose header says another size: 14 bits for each side, less one."""
    content = bytearray(saved(plain(2, 1), "WEBP", lossless=True))
    start = content.index(b"VP8L") + 9
    flags = int.from_bytes(content[start : start + 4], "little") >> 28 << 28
    content[start : start + 4] = (flags | (side - 1) << 14 | (side - 1)).to_bytes(4, "little")
    return bytes(content)


def text_bomb() -> bytes:
    """10 MB of text before the pixels."""
    text = b"Comment\0\0" + zlib.compress(b"x" * 10_000_000, 9)
    rows = zlib.compress(b"\0" * 7 * 2)
    return png(png_header(2, 2), (b"zTXt", text), (b"IDAT", rows))
