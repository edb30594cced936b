"""Small pictures, as WebP: made when asked for, and kept in memory for the next who asks."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from enum import IntEnum

from PIL import Image

from ecurie.images.incoming import to_rgb

KEPT_BYTES = 64_000_000
QUALITY, METHOD = 80, 2
"""Of WebP; a method above 2 takes twice the time to save a twentieth of the bytes."""


class Side(IntEnum):
    """Pixels of the longer side; a few, so that nobody fills the memory with sizes."""

    SMALL = 128
    MEDIUM = 256
    LARGE = 512


def small_file(content: bytes, side: int) -> bytes:
    """Of an image that was written here, as PNG, WebP or JPEG. Raises OSError."""
    with Image.open(io.BytesIO(content), formats=("PNG", "WEBP", "JPEG")) as image:
        # JPEG files can be decoded small.
        image.draft(None, (side, side))
        return small_webp(image, side)


def small_webp(picture: Image.Image, side: int) -> bytes:
    """A WebP file of a picture's pixels and nothing else of it, at most `side` wide and high."""
    small = to_rgb(picture)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.save(written, "WEBP", quality=QUALITY, method=METHOD)
    return written.getvalue()


class RecentlySmall:
    """The last asked for, by their names, as many as there is room for. Any thread may use it."""

    def __init__(self, most_bytes: int = KEPT_BYTES):
        self._most, self._bytes = most_bytes, 0
        self._kept = OrderedDict[str, bytes]()
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
            return self._kept.get(name)

    def keep(self, name: str, content: bytes) -> None:
        with self._lock:
            self._bytes += len(content) - len(self._kept.pop(name, b""))
            self._kept[name] = content
            while self._bytes > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped)
