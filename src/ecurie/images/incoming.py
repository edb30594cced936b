"""Pictures that clients send: what may come in, and what it is once it is in.

The format is told from the content alone, and Pillow is let try these three only. Pixels are counted from the
header before anything is decoded; what Pillow inflates while it reads a PNG's header (texts, colour profile)
ends at its own `MAX_TEXT_CHUNK`, 1 MiB.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ecurie.domain import PictureUse
from ecurie.errors import InvalidRequest

MEDIA_TYPES = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
# Pillow's name for a JPEG file of several pictures.
FORMATS = {"PNG": "png", "WEBP": "webp", "JPEG": "jpeg", "MPO": "jpeg"}
ReadPicture = Callable[[PictureUse], bytes]
"""The content of a picture's file, wherever it is kept. Raises OSError or StorageUnavailable."""
TURNED = range(5, 9)
"""EXIF orientations that exchange width and height."""


@dataclass(frozen=True, slots=True)
class Sniffed:
    """A picture's format (a key of MEDIA_TYPES), and its size when it stands upright."""

    format: str
    width: int
    height: int


def check_picture(content: bytes, field: str, max_pixels: int) -> Sniffed:
    """Read all of it, after its size has been found to be allowed.

    Raises InvalidRequest for what is no picture, is cut short, or has more than `max_pixels` in all frames.
    """
    sniffed = sniff(content, field, max_pixels)
    load_picture(content, field)
    return sniffed


def sniff(content: bytes, field: str, max_pixels: int) -> Sniffed:
    """What the file says of itself. Raises InvalidRequest."""
    with opened(content, field) as picture:
        _refuse_many_pixels(picture, field, max_pixels)
        # This decodes a PNG, whose EXIF data may follow its pixels.
        turned = picture.getexif().get(ExifTags.Base.Orientation) in TURNED
        width, height = reversed(picture.size) if turned else picture.size
        return Sniffed(FORMATS[str(picture.format)], width, height)


def _refuse_many_pixels(picture: Image.Image, field: str, most: int) -> None:
    (width, height), frames = picture.size, getattr(picture, "n_frames", 1)
    if width * height * frames > most:
        of_frames = f" in {frames} frames" if frames > 1 else ""
        raise InvalidRequest(
            f"{field}: the picture has {width}x{height} pixels{of_frames}; {most:,} are allowed",
            field=field,
            remedy="send a smaller one",
        )


def load_picture(content: bytes, field: str) -> Image.Image:
    """The first frame, upright, in the mode that it is stored in. Raises InvalidRequest."""
    with opened(content, field) as picture:
        picture.load()
        return ImageOps.exif_transpose(picture)


def read_here(use: PictureUse) -> bytes:
    """A picture that is named by its path on this machine."""
    return Path(use.file).read_bytes()


def read_picture(use: PictureUse, field: str, read: ReadPicture = read_here) -> Image.Image:
    """The picture of a request that has been checked, as `load_picture` gives it.

    Raises InvalidRequest when its file is gone or was replaced since, or StorageUnavailable.
    """
    return load_picture(read_content(use, field, read), field)


def read_content(use: PictureUse, field: str, read: ReadPicture = read_here) -> bytes:
    """The file of such a picture, likewise."""
    remedy = "send the picture again"
    try:
        content = read(use)
    except OSError as error:
        raise InvalidRequest(
            f"{field}: the picture {Path(use.file).name} cannot be read: {error.strerror}",
            field=field,
            remedy=remedy,
        ) from error
    if hashlib.sha256(content).hexdigest() != use.sha256:
        raise InvalidRequest(
            f"{field}: {Path(use.file).name} is no longer the picture that was sent",
            field=field,
            remedy=remedy,
        )
    return content


def to_8_bits(picture: Image.Image) -> Image.Image:
    """Pillow keeps grey of 16 bits, and would clip it where it has to be scaled. The high 8 bits stay, as in
    what it reads of 16-bit colours."""
    if not picture.mode.startswith("I"):
        return picture
    return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")


def to_rgb(picture: Image.Image) -> Image.Image:
    """8 bits for each of three colours; what is transparent becomes white."""
    picture = to_8_bits(picture)
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return picture.convert("RGB")


@contextmanager
def opened(content: bytes, field: str) -> Iterator[Image.Image]:
    """The picture with its header read; decoding it in the block may fail likewise. Raises InvalidRequest."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG", "WEBP", "JPEG")) as picture:
            yield picture
    except InvalidRequest:
        raise
    except Exception as error:
        # Pillow's readers have no error class of their own: damaged files end in anything, struct.error too.
        reason = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise InvalidRequest(
            f"{field}: this is no picture that can be read{reason}",
            field=field,
            remedy="send a whole PNG, WebP or JPEG file",
        ) from error
