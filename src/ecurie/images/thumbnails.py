"""The small picture that shows what an adapter does: in its file's metadata, or in a file beside it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path

from ecurie.errors import InvalidRequest, WeightsInvalid
from ecurie.formats.safetensors_file import read_header
from ecurie.images.incoming import load_picture, sniff
from ecurie.images.small import small_webp

SIDE = 256
MAX_PIXELS = 25_000_000
MAX_BYTES = 20_000_000
FIELD = "modelspec.thumbnail"
"""A data URI, as github.com/Stability-AI/ModelSpec has it."""
BESIDE = (".preview.png", ".png", ".webp", ".jpeg", ".jpg")
"""What other tools put beside `name.safetensors`, instead of that ending."""


def thumbnail_of(file: Path) -> bytes | None:
    """A WebP file of at most SIDE pixels a side; None where the adapter has no picture that can be read.

    It is drawn anew, so nothing of the original but its pixels is passed on. Raises WeightsMissing.
    """
    for content in _pictures_of(file):
        try:
            return _small(content)
        except InvalidRequest:
            continue
    return None


def _pictures_of(file: Path) -> Iterator[bytes]:
    try:
        named = read_header(file).metadata.get(FIELD, "")
    except WeightsInvalid:
        named = ""
    if named.startswith("data:image/"):
        try:
            yield base64.b64decode(named.partition(",")[2], validate=True)
        except binascii.Error:
            pass
    for ending in BESIDE:
        beside = file.with_name(file.stem + ending)
        # A link could lead to any picture of this machine.
        if beside.is_file() and not beside.is_symlink() and beside.stat().st_size <= MAX_BYTES:
            yield beside.read_bytes()


def _small(content: bytes) -> bytes:
    sniff(content, "thumbnail", MAX_PIXELS)
    return small_webp(load_picture(content, "thumbnail"), SIDE)
