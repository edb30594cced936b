from __future__ import annotations

import io

import pytest
from PIL import Image

from ecurie.images.small import RecentlySmall, Side, small_file


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize(
    ("size", "small"), [((900, 600), (256, 171)), ((300, 600), (128, 256)), ((64, 48), (64, 48))]
)
def test_a_thumbnail_keeps_the_shape_and_is_never_larger_than_the_image(
    image_format: str, size: tuple[int, int], small: tuple[int, int]
) -> None:
    image = Image.new("RGB", size, "red")
    image.paste("blue", (0, 0, size[0] // 2, size[1]))
    file = io.BytesIO()
    image.save(file, image_format)
    made = Image.open(io.BytesIO(small_file(file.getvalue(), Side.MEDIUM)))
    assert (made.format, made.size) == ("WEBP", small)
    left, right = (made.getpixel((x, small[1] // 2)) for x in (3, small[0] - 4))
    assert left[2] - left[0] > 150
    assert right[0] - right[2] > 150


def test_the_last_ones_asked_for_are_kept_while_there_is_room() -> None:
    recent = RecentlySmall(most_bytes=30)
    for name in ("a", "b", "c"):
        recent.keep(name, b"x" * 10)
    assert recent.get("a") == b"x" * 10
    recent.keep("d", b"y" * 10)
    assert [recent.get(name) is not None for name in ("a", "b", "c", "d")] == [True, False, True, True]
    recent.keep("d", b"z" * 5)
    recent.keep("large", b"x" * 31)
    assert recent.get("large") is None
