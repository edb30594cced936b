"""What an image file tells of how it was made. Any file may come here, so nothing in it is trusted: only PNG,
WebP and JPEG are opened, no pixel is decoded, and every text has a limit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ecurie.errors import ManifestInvalid
from ecurie.images.exif import MAKER_NOTE, USER_COMMENT, comment_text, read_exif
from ecurie.images.formats import MANIFEST_KEY, MANIFEST_MARK
from ecurie.images.incoming import FORMATS, opened

MAX_FILE_BYTES = 100_000_000
MAX_TEXT = 2_000_000


@dataclass(frozen=True, slots=True)
class ImageText:
    """`format` is png, webp or jpeg; `parameters` A1111's text and `manifest` ours, as they stand there."""

    format: str
    width: int
    height: int
    parameters: str | None
    manifest: str | None


def read_image_file(file: Path) -> bytes:
    """Raises ManifestInvalid for what cannot be read or is too large."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ManifestInvalid(f"{file} is larger than {MAX_FILE_BYTES:,} bytes")
        return file.read_bytes()
    except OSError as error:
        raise ManifestInvalid(f"{file} cannot be read: {error.strerror}") from error


def read_text(content: bytes) -> ImageText:
    """Raises InvalidRequest for anything but a PNG, WebP or JPEG image."""
    with warnings.catch_warnings():
        # Of damaged EXIF, and of sizes that nobody decodes here.
        warnings.simplefilter("ignore")
        return _read(content)


def _read(content: bytes) -> ImageText:
    with opened(content, "image") as image:
        image_format = FORMATS[str(image.format)]
        texts = _png_texts(image) if image_format == "png" else _exif_texts(image, image_format)
        parameters, manifest = (text if text and len(text) <= MAX_TEXT else None for text in texts)
        return ImageText(image_format, image.width, image.height, parameters, manifest)


def _png_texts(image: Image.Image) -> tuple[str | None, str | None]:
    """(parameters, manifest). Pillow inflates compressed texts to a megabyte each at most."""
    found = (image.info.get(key) for key in ("parameters", MANIFEST_KEY))
    parameters, manifest = (str(text) if isinstance(text, str) else None for text in found)
    return parameters, manifest


def _exif_texts(image: Image.Image, image_format: str) -> tuple[str | None, str | None]:
    block = image.info.get("exif")
    values = read_exif(block) if isinstance(block, bytes) else {}
    parameters = comment_text(values[USER_COMMENT]) if USER_COMMENT in values else None
    note = _segments_of(image) if image_format == "jpeg" else values.get(MAKER_NOTE, b"")
    manifest = note.removeprefix(MANIFEST_MARK) if note.startswith(MANIFEST_MARK) else b""
    return parameters, manifest.decode("utf-8", "replace") or None


def _segments_of(image: Image.Image) -> bytes:
    """The manifest's segments put together, behind one mark; empty unless all are there."""
    start = len(MANIFEST_MARK)
    parts = sorted(
        (data[start], data[start + 1], data[start + 2 :])
        for name, data in getattr(image, "applist", [])
        if name == "APP9" and data.startswith(MANIFEST_MARK) and len(data) > start + 2
    )
    total = len(parts)
    whole = [part[:2] for part in parts] == [(number, total) for number in range(1, total + 1)]
    return MANIFEST_MARK + b"".join(data for _, _, data in parts) if parts and whole else b""
