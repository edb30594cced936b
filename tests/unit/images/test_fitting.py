from __future__ import annotations

import pytest
from PIL import Image

from ecurie.images.fitting import fit, keep_unmasked, mask_of
from tests.unit.images.pictures import plain


def halves() -> Image.Image:
    """Left half black, right half white, twice as wide as high."""
    picture = plain(64, 32, "black")
    picture.paste("white", (32, 0, 64, 32))
    return picture


@pytest.mark.parametrize(("resize", "white_from"), [("crop", 16), ("stretch", 16)])
def test_both_ways_to_fit_keep_the_middle(resize: str, white_from: int) -> None:
    fitted = fit(halves(), 32, 32, resize)
    assert fitted.size == (32, 32)
    assert fitted.getpixel((white_from - 5, 9)) == (0, 0, 0)
    assert fitted.getpixel((white_from + 5, 9)) == (255, 255, 255)


def test_crop_keeps_the_shape_and_stretch_keeps_all() -> None:
    picture = plain(96, 32, "black")
    picture.paste("white", (0, 0, 16, 32))
    assert fit(picture, 32, 32, "crop").getextrema() == ((0, 0),) * 3
    assert fit(picture, 32, 32, "stretch").getextrema() == ((0, 255),) * 3


@pytest.mark.parametrize("resize", ["crop", "stretch"])
@pytest.mark.parametrize("size", [(1, 1), (100_000, 1), (1, 100_000)])
def test_a_picture_of_any_shape_fits(size: tuple[int, int], resize: str) -> None:
    fitted = fit(plain(*size), 64, 128, resize)
    assert (fitted.size, fitted.getpixel((60, 120))) == ((64, 128), (200, 40, 10))


def layer(colour: tuple[int, int, int, int]) -> Image.Image:
    """A stroke in the left half of a transparent layer."""
    picture = Image.new("RGBA", (8, 4))
    picture.paste(colour, (0, 0, 4, 4))
    return picture


@pytest.mark.parametrize(
    ("picture", "left", "right"),
    [
        (halves(), 0, 255),
        (halves().convert("L"), 0, 255),
        (halves().convert("1"), 0, 255),
        (Image.new("I;16", (8, 4), 0x8100), 0x81, 0x81),
        (layer((255, 255, 255, 255)), 255, 0),
        (layer((0, 0, 0, 255)), 255, 0),
        (layer((0, 0, 0, 100)), 100, 0),
        (Image.new("RGBA", (8, 4), (0, 0, 0, 255)), 0, 0),
    ],
)
def test_what_is_white_or_the_only_stroke_is_masked(picture: Image.Image, left: int, right: int) -> None:
    mask = mask_of(picture)
    assert mask.mode == "L"
    assert (mask.getpixel((1, 1)), mask.getpixel((mask.width - 2, 1))) == (left, right)


def test_what_is_not_masked_is_kept() -> None:
    kept = keep_unmasked(plain(64, 32, "red"), plain(64, 32, "blue"), halves().convert("L"))
    assert (kept.getpixel((3, 3)), kept.getpixel((60, 3))) == ((0, 0, 255), (255, 0, 0))
