"""What may come in: formats and modes by their content, and what is refused before it is decoded."""

from __future__ import annotations

import hashlib
import io
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from ecurie.domain import PictureUse
from ecurie.errors import InvalidRequest
from ecurie.images.incoming import Sniffed, check_picture, load_picture, read_picture, to_rgb
from tests.unit.images.pictures import bomb, large_webp, plain, png, png_header, saved, text_bomb

RED = (200, 40, 10)
MOST = 1_000_000


def turned(orientation: int) -> Any:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def layered() -> Image.Image:
    """Left red, right wholly transparent."""
    picture = Image.new("RGBA", (2, 1), (*RED, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    return picture


def palette(transparent: bool) -> bytes:
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    return saved(picture, transparency=1) if transparent else saved(picture)


GREY_16 = Image.fromarray(np.array([[0x1234, 0xFFFF]], np.uint16))
COLOUR_16 = png(
    png_header(1, 1, bits=16),
    (b"IDAT", zlib.compress(bytes([0, 0xC8, 0x12, 0x28, 0x34, 0x0A, 0x56]))),
)
FIRST_OF_TWO = {"save_all": True, "append_images": [plain(2, 1, (0, 255, 0))]}
WHITE = (255, 255, 255)


@pytest.mark.parametrize(
    ("content", "kind", "pixels"),
    [
        (saved(plain(2, 1)), "png", [RED, RED]),
        (saved(layered()), "png", [RED, WHITE]),
        (saved(layered().convert("LA")), "png", [(84,) * 3, WHITE]),
        (saved(Image.new("L", (2, 1), 77)), "png", [(77,) * 3] * 2),
        (saved(Image.new("1", (2, 1), 1)), "png", [WHITE] * 2),
        (saved(GREY_16), "png", [(0x12,) * 3, WHITE]),
        (COLOUR_16, "png", [RED]),
        (palette(transparent=False), "png", [RED, (0, 0, 255)]),
        (palette(transparent=True), "png", [RED, WHITE]),
        (saved(plain(2, 1), transparency=RED), "png", [WHITE] * 2),
        (saved(plain(2, 1), "WEBP", lossless=True), "webp", [RED, RED]),
        (saved(layered(), "WEBP", lossless=True), "webp", [RED, WHITE]),
        (saved(plain(2, 1), "WEBP", lossless=True, duration=9, **FIRST_OF_TWO), "webp", [RED, RED]),
        (saved(plain(2, 1), "PNG", **FIRST_OF_TWO), "png", [RED, RED]),
        (saved(plain(2, 1), "JPEG", quality=100, subsampling=0), "jpeg", [RED, RED]),
        (saved(plain(2, 1).convert("CMYK"), "JPEG", quality=100, subsampling=0), "jpeg", [RED, RED]),
        (saved(Image.new("L", (2, 1), 77), "JPEG"), "jpeg", [(77,) * 3] * 2),
        (saved(plain(2, 1), "MPO", quality=100, subsampling=0, **FIRST_OF_TWO), "jpeg", [RED, RED]),
    ],
)
def test_every_format_and_mode_becomes_8_bit_colour(
    content: bytes, kind: str, pixels: list[tuple[int, ...]]
) -> None:
    assert check_picture(content, "file", MOST).format == kind
    picture = to_rgb(load_picture(content, "file"))
    assert picture.mode == "RGB"
    got = np.asarray(picture).reshape(-1, 3).astype(int)
    tolerance = 3 if kind == "jpeg" else 0
    assert np.abs(got - np.array(pixels)).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_stand_upright(orientation: int, kind: str) -> None:
    """A mark in the corner that the EXIF standard calls top left of the upright picture."""
    stored = plain(24, 16, "black")
    corner = {1: (0, 0), 2: (16, 0), 3: (16, 8), 4: (0, 8), 5: (0, 0), 6: (0, 8), 7: (16, 8), 8: (16, 0)}
    stored.paste("white", (*corner[orientation], corner[orientation][0] + 8, corner[orientation][1] + 8))
    content = saved(stored, kind, exif=turned(orientation))
    sniffed = check_picture(content, "file", MOST)
    assert (sniffed.width, sniffed.height) == ((16, 24) if orientation >= 5 else (24, 16))
    upright = to_rgb(load_picture(content, "file"))
    assert upright.size == (sniffed.width, sniffed.height)
    assert min(upright.getpixel((3, 3))) > 200  # type: ignore[type-var,arg-type]
    assert max(upright.getpixel((12, 12))) < 60  # type: ignore[type-var,arg-type]


PHOTO = saved(Image.effect_noise((64, 64), 90).convert("RGB"), "JPEG")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>alert(1)</script></svg>'
DRAWING = saved(plain(64, 64, "white"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        SVG,
        b"<!doctype html><script>alert(1)</script>",
        pickle.dumps({"a": 1}),
        saved(plain(), "GIF"),
        saved(plain(), "BMP"),
        saved(plain(), "TIFF"),
        saved(plain(), "ICO"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"P6 1 1 255 abc",
        PHOTO[: len(PHOTO) // 2],
        PHOTO[:40],
        DRAWING[:-60],
        DRAWING[:30],
        saved(plain(), "WEBP")[:-9],
        png(png_header(0, 0)),
        png(png_header(4, 4)),
        png(b"\0" * 5),
        png(png_header(2, 2), (b"IDAT", b"no deflate")),
        b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    ],
)
def test_what_is_no_whole_png_webp_or_jpeg_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="init_image") as caught:
        check_picture(content, "init_image", MOST)
    assert caught.value.field == "init_image"
    assert "PNG, WebP or JPEG" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (bomb(), "19000x19000"),
        (saved(plain(1001, 1000)), "1001x1000"),
        (large_webp(), "16000x16000"),
        (
            saved(plain(800, 800), "PNG", **FIRST_OF_TWO | {"append_images": [plain(800, 800, WHITE)]}),
            "2 frames",
        ),
    ],
    ids=["bomb", "large", "webp", "frames"],
)
def test_too_many_pixels_are_refused_before_they_are_decoded(
    content: bytes, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(*_arguments: object) -> None:
        raise AssertionError("the pixels were decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", decoded)
    with pytest.raises(InvalidRequest, match=f"{says}|exceeds limit"):
        check_picture(content, "file", MOST)


def test_text_that_swells_is_refused() -> None:
    content = text_bomb()
    assert len(content) < 20_000
    with pytest.raises(InvalidRequest, match="too large"):
        check_picture(content, "file", MOST)


def test_a_picture_that_changed_or_went_is_not_used(tmp_path: Path) -> None:
    file, content = tmp_path / "a.png", saved(plain())
    use = PictureUse(str(file), hashlib.sha256(content).hexdigest())
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_picture(use, "mask")
    file.write_bytes(content)
    assert read_picture(use, "mask").size == (6, 4)
    file.write_bytes(saved(plain(7, 4)))
    with pytest.raises(InvalidRequest, match="no longer") as caught:
        read_picture(use, "mask")
    assert caught.value.field == "mask"


def test_the_size_is_that_of_the_file() -> None:
    assert check_picture(saved(plain(6, 4)), "file", 24) == Sniffed("png", 6, 4)
    assert Image.open(io.BytesIO(PHOTO)).size == (64, 64)
