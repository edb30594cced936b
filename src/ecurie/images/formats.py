"""The formats that images are written in, and where each keeps its provenance.

format   `parameters` (A1111's text)        manifest (JSON)
PNG      text chunk `parameters`            iTXt chunk `ecurie`
WebP     EXIF UserComment                   EXIF MakerNote, after `ecurie` and a zero byte
JPEG     EXIF UserComment                   APP9 segments, after `ecurie`, a zero byte, number and total
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ecurie.errors import InvalidRequest
from ecurie.images.exif import APP1_PREFIX, MAKER_NOTE, USER_COMMENT, user_comment, write_exif
from ecurie.images.infotext import NEGATIVE

LOSSLESS = 100
"""The quality from which WebP is written without loss."""
FULL_COLOUR = 90
"""The quality from which JPEG keeps the colour of every pixel."""
MANIFEST_MARK = b"ecurie\0"
MANIFEST_KEY = "ecurie"
SEGMENT_BYTES = 65_000
APP9 = 0xE9
# What an APP1 segment can hold, less the TIFF block's own 50 bytes or so.
MOST_EXIF = 65_533 - len(APP1_PREFIX) - 100
SUFFIXES = {".png": "png", ".webp": "webp", ".jpg": "jpeg", ".jpeg": "jpeg"}


@dataclass(frozen=True, slots=True)
class Provenance:
    """What is written into an image: A1111's text, and our manifest as JSON."""

    parameters: str
    manifest: str


def format_of(file: Path) -> str:
    """By the file's ending. Raises InvalidRequest."""
    try:
        return SUFFIXES[file.suffix.casefold()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise InvalidRequest(
            f"{file.name}: an image's name ends with one of {known}", field="format"
        ) from None


def suffix_of(image_format: str) -> str:
    return next(suffix for suffix, name in SUFFIXES.items() if name == image_format)


def write_image(
    stream: IO[bytes], image: Image.Image, image_format: str, quality: int, provenance: Provenance | None
) -> None:
    """Write the image in one of the formats, with nothing told in it but the provenance.

    Raises OSError.
    """
    {"png": _write_png, "webp": _write_webp, "jpeg": _write_jpeg}[image_format](
        stream, image, quality, provenance
    )


def _write_png(stream: IO[bytes], image: Image.Image, _quality: int, provenance: Provenance | None) -> None:
    text = PngInfo()
    if provenance is not None:
        text.add_text("parameters", provenance.parameters)
        text.add_itxt(MANIFEST_KEY, provenance.manifest)
    image.save(stream, format="PNG", pnginfo=text)


def _write_webp(stream: IO[bytes], image: Image.Image, quality: int, provenance: Provenance | None) -> None:
    exif = b""
    if provenance is not None:
        exif = write_exif(
            {
                USER_COMMENT: user_comment(provenance.parameters),
                MAKER_NOTE: MANIFEST_MARK + provenance.manifest.encode(),
            }
        )
    image.save(stream, format="WEBP", quality=quality, lossless=quality >= LOSSLESS, exif=exif)


def _write_jpeg(stream: IO[bytes], image: Image.Image, quality: int, provenance: Provenance | None) -> None:
    exif, extra = b"", b""
    if provenance is not None:
        exif = APP1_PREFIX + write_exif({USER_COMMENT: user_comment(_cut(provenance.parameters))})
        extra = b"".join(_segments(provenance.manifest.encode()))
    subsampling = "4:4:4" if quality >= FULL_COLOUR else "4:2:0"
    image.save(stream, format="JPEG", quality=quality, subsampling=subsampling, exif=exif, extra=extra)


def _segments(manifest: bytes) -> Iterator[bytes]:
    """A segment holds 64 kB at most; there may be 255 of them."""
    parts = [manifest[at : at + SEGMENT_BYTES] for at in range(0, len(manifest), SEGMENT_BYTES)]
    for number, part in enumerate(parts, start=1):
        content = MANIFEST_MARK + bytes((number, len(parts))) + part
        yield struct.pack(">BBH", 0xFF, APP9, len(content) + 2) + content


def _cut(parameters: str) -> str:
    """What EXIF can hold of a text: where it is too long, its prompts end early, the settings never."""
    room = MOST_EXIF - len(user_comment(""))
    if len(parameters.encode("utf-16-be")) <= room:
        return parameters
    *prompts, settings = parameters.split("\n")
    settings = "\n" + settings
    words, mark, negative = "\n".join(prompts).partition("\n" + NEGATIVE)
    each = (room - len((mark + settings).encode("utf-16-be"))) // (4 if mark else 2)
    return _first(words, each) + mark + _first(negative, each) + settings


def _first(text: str, units: int) -> str:
    """As much of the text as takes that many units of UTF-16, never half of a pair."""
    return text.encode("utf-16-be")[: 2 * units].decode("utf-16-be", "ignore")
