"""Thumbnails of adapters: where they come from, and what is no thumbnail."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from ecurie.images.thumbnails import SIDE, thumbnail_of


def drawn(colour: str, kind: str = "PNG", size: tuple[int, int] = (600, 300)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, format=kind)
    return file.getvalue()


def adapter(folder: Path, thumbnail: str | None = None) -> Path:
    file = folder / "style.safetensors"
    metadata = None if thumbnail is None else {"modelspec.thumbnail": thumbnail}
    save_file({"a": np.zeros(1, np.float32)}, file, metadata)
    return file


def colour_of(content: bytes | None) -> tuple[int, ...]:
    assert content is not None
    with Image.open(io.BytesIO(content)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (SIDE, SIDE // 2))
        pixel = picture.convert("RGB").getpixel((9, 9))
    assert isinstance(pixel, tuple)
    return tuple(round(channel / 64) * 64 for channel in pixel)


def test_the_metadata_holds_one(tmp_path: Path) -> None:
    uri = "data:image/jpeg;base64," + base64.b64encode(drawn("blue", "JPEG")).decode()
    assert colour_of(thumbnail_of(adapter(tmp_path, uri))) == (0, 0, 256)


def test_a_file_beside_it_is_one(tmp_path: Path) -> None:
    file = adapter(tmp_path)
    (tmp_path / "style.png").write_bytes(drawn("red"))
    (tmp_path / "style.preview.png").write_bytes(drawn("lime"))
    assert colour_of(thumbnail_of(file)) == (0, 256, 0)


@pytest.mark.parametrize(
    "thumbnail",
    [
        None,
        "https://example.org/picture.png",
        "data:image/png;base64,????",
        "data:image/svg+xml;base64,"
        + base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode(),
        "data:image/png;base64," + base64.b64encode(drawn("red")[:200]).decode(),
    ],
    ids=["none", "an address", "no base64", "SVG", "cut short"],
)
def test_what_is_no_picture_is_none(tmp_path: Path, thumbnail: str | None) -> None:
    assert thumbnail_of(adapter(tmp_path, thumbnail)) is None


def test_a_damaged_one_gives_way_to_the_file_beside_it(tmp_path: Path) -> None:
    file = adapter(tmp_path, "data:image/png;base64,AAAA")
    (tmp_path / "style.webp").write_bytes(drawn("red", "WEBP"))
    assert colour_of(thumbnail_of(file)) == (256, 0, 0)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(drawn("red"))
    (tmp_path / "style.png").symlink_to(tmp_path / "secret.png")
    assert thumbnail_of(adapter(tmp_path)) is None
