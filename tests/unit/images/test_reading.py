"""Files of strangers: read, or refused, and never more than that."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from ecurie.errors import InvalidRequest, ManifestInvalid
from ecurie.images.formats import Provenance, write_image
from ecurie.images.reading import read_image_file, read_text

PICTURE = Image.new("RGB", (32, 32), "red")
TOLD = Provenance("a cat\nSteps: 1, Sampler: Euler, Seed: 2", '{"manifest_version": 1}')
FORMATS = ("png", "webp", "jpeg")


def written(image_format: str) -> bytes:
    stream = io.BytesIO()
    write_image(stream, PICTURE, image_format, 90, TOLD)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(*chunks: bytes, size: tuple[int, int] = (1, 1)) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(4))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a" + bytes(100), b"\x89PNG\r\n\x1a\n", b"RIFF", b"\xff\xd8\xff", b"{}", bytes(1000)],
)
def test_what_is_no_image_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="no picture that can be read"):
        read_text(content)


def test_an_eps_is_never_given_to_ghostscript() -> None:
    with pytest.raises(InvalidRequest):
        read_text(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n")


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_text_that_inflates_without_end_is_refused(kind: bytes) -> None:
    """A chunk of 20 kB for 20 MB of text."""
    bomb = zlib.compress(bytes(20_000_000), 9)
    rest = b"\0" if kind == b"zTXt" else b"\1\0\0\0"
    with pytest.raises(InvalidRequest):
        read_text(png_with(chunk(kind, b"parameters\0" + rest + bomb)))


def test_an_image_too_large_to_decode_is_read_without_decoding() -> None:
    found = read_text(png_with(chunk(b"tEXt", b"parameters\0hello"), size=(12_000, 12_000)))
    assert (found.width, found.parameters) == (12_000, "hello")
    with pytest.raises(InvalidRequest):
        read_text(png_with(size=(60_000, 60_000)))


def test_markup_and_control_characters_are_text() -> None:
    found = read_text(png_with(chunk(b"tEXt", b"parameters\0<script>\x1b[31m")))
    assert found.parameters == "<script>\x1b[31m"


@pytest.mark.parametrize("image_format", FORMATS)
def test_damaged_files_are_read_or_refused(image_format: str) -> None:
    """Anything else would be an error of the server's."""
    content, random_ = bytearray(written(image_format)), random.Random(5)
    assert read_text(bytes(content)).parameters == TOLD.parameters
    refused = 0
    for _ in range(400):
        damaged = bytearray(content)
        for _ in range(random_.randint(1, 8)):
            damaged[random_.randrange(len(damaged))] = random_.choice((0, 1, 255, random_.randrange(256)))
        cut = random_.randrange(len(damaged)) if random_.random() < 0.3 else len(damaged)
        try:
            read_text(bytes(damaged[:cut]))
        except InvalidRequest:
            refused += 1
    assert 0 < refused < 400


def test_a_jpeg_s_manifest_is_whole_or_not_there() -> None:
    """A segment that is lost, doubled or out of turn."""
    content = written("jpeg")
    start = content.index(b"\xff\xe9")
    (length,) = struct.unpack(">H", content[start + 2 : start + 4])
    segment = content[start : start + 2 + length]
    number = segment.index(b"ecurie\0") + len(b"ecurie\0")

    def with_segments(*segments: bytes) -> str | None:
        return read_text(content.replace(segment, b"".join(segments))).manifest

    def numbered(which: int, total: int) -> bytes:
        return segment[:number] + bytes((which, total)) + segment[number + 2 :]

    assert with_segments(numbered(2, 2), numbered(1, 2)) == 2 * TOLD.manifest
    assert with_segments(segment, segment) is None
    assert with_segments(numbered(1, 2)) is None
    assert with_segments(numbered(0, 0)) is None
    assert with_segments() is None


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="No such file"):
        read_image_file(tmp_path / "none.png")
