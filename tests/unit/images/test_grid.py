from __future__ import annotations

from PIL import Image

from ecurie.images.grid import LONGEST_SIDE, Tile, draw_grid


def tile(colour: str, side: int = 200) -> Tile:
    return Tile(Image.new("RGB", (side, side), colour))


def test_each_picture_stands_in_its_place() -> None:
    colours = [["red", "green", "blue"], ["yellow", "magenta", "cyan"]]
    grid = draw_grid([[tile(c) for c in row] for row in colours], ["a", "b", "c"], ["one", "two"], "prompt")
    found = [
        [grid.getpixel((grid.width - 520 + 208 * x, grid.height - 312 + 208 * y)) for x in range(3)]
        for y in range(2)
    ]
    assert found == [[Image.new("RGB", (1, 1), c).getpixel((0, 0)) for c in row] for row in colours]


def test_labels_are_drawn_beside_the_pictures() -> None:
    blank = draw_grid([[tile("red")]], [""], [""], "")
    named = draw_grid([[tile("red")]], ["steps=4"], ["seed=7"], "red apple")
    assert named.width > blank.width
    assert len(named.crop((0, 0, named.width, 30)).getcolors() or []) > 2


def test_a_missing_picture_says_why() -> None:
    plain = draw_grid([[tile("red"), Tile(None)]], ["a", "b"], [], "")
    noted = draw_grid([[tile("red"), Tile(None, "failed: no such thing as this")]], ["a", "b"], [], "")
    assert plain.size == noted.size
    assert plain.tobytes() != noted.tobytes()


def test_a_large_grid_is_made_smaller_and_a_small_one_larger() -> None:
    wide = draw_grid([[tile("red", 2048)] * 10], ["x"] * 10, [], "")
    assert LONGEST_SIDE * 0.8 < wide.width <= LONGEST_SIDE
    small = draw_grid([[tile("red", 64)] * 2], ["x"] * 2, [], "")
    assert small.width > 2 * 128


def test_labels_of_any_text_are_drawn() -> None:
    for text in ["", "x" * 5000, "a\nb", "猫 \N{ROCKET}", "=" * 300]:
        draw_grid([[tile("red", 64)]], [text], [text], text)
