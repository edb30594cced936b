"""A labelled grid of pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

LONGEST_SIDE, SHORTEST_TILE = 8192, 128
MARGIN = 8
PAPER, INK, EMPTY, FAINT = "white", "black", "#e8e8e8", "#606060"
SHORTEST_TEXT, LONGEST_LABEL = 11, 60
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture, or what to say in its place."""

    picture: Image.Image | None
    note: str = ""


def draw_grid(
    tiles: Sequence[Sequence[Tile]], columns: Sequence[str], rows: Sequence[str], title: str
) -> Image.Image:
    """RGB; `tiles` by row, labels above the columns and left of the rows (no row labels: `rows` empty).

    Pictures are made smaller where the grid would have a side of more than 8192 pixels, and larger where
    labels would not fit.
    """
    width, height = _tile_size(tiles)
    size = max(SHORTEST_TEXT, min(width, height) // 16)
    font, line = ImageFont.load_default(size), round(size * 1.6)
    labels = [_fitted(label, font, width) for label in columns]
    left = max((round(font.getlength(_short(label))) for label in rows), default=0)
    left += 2 * MARGIN if rows else MARGIN
    top = line + max(label.count("\n") + 1 for label in labels) * line
    extent = (left + len(columns) * (width + MARGIN), top + len(tiles) * (height + MARGIN))
    canvas = Image.new("RGB", extent, PAPER)
    pen = ImageDraw.Draw(canvas)
    pen.text((MARGIN, line // 6), _short(title, 200), INK, font)
    for x, label in enumerate(labels):
        place = (left + x * (width + MARGIN) + width // 2, top - line // 4)
        pen.multiline_text(place, label, INK, font, anchor="md", align="center")
    for y, row in enumerate(tiles):
        above = top + y * (height + MARGIN)
        if rows:
            pen.text((left - MARGIN, above + height // 2), _short(rows[y]), INK, font, anchor="rm")
        for x, tile in enumerate(row):
            _put(canvas, tile, (left + x * (width + MARGIN), above, width, height), font)
    return canvas


def _tile_size(tiles: Sequence[Sequence[Tile]]) -> tuple[int, int]:
    """That of the largest picture, enlarged or reduced as `draw_grid` says."""
    pictures = [tile.picture for row in tiles for tile in row if tile.picture is not None]
    width = max((picture.width for picture in pictures), default=256)
    height = max((picture.height for picture in pictures), default=256)
    room = min(LONGEST_SIDE / (len(tiles[0]) + 1) / width, LONGEST_SIDE / (len(tiles) + 1) / height)
    scale = min(room, max(1, SHORTEST_TILE / width))
    return max(1, int(width * scale)), max(1, int(height * scale))


def _put(canvas: Image.Image, tile: Tile, box: tuple[int, int, int, int], font: Font) -> None:
    left, top, width, height = box
    if tile.picture is not None:
        picture = ImageOps.contain(tile.picture.convert("RGB"), (width, height), Image.Resampling.LANCZOS)
        canvas.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2))
        return
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((left, top, left + width - 1, top + height - 1), EMPTY)
    note = _fitted(tile.note, font, width - 2 * MARGIN)
    pen.multiline_text((left + width // 2, top + height // 2), note, FAINT, font, anchor="mm", align="center")


def _short(text: str, most: int = LONGEST_LABEL) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _fitted(text: str, font: Font, width: int) -> str:
    """Broken after spaces and equals signs into lines that are not wider than `width`, where that helps."""
    lines = [""]
    for piece in re.split("(?<=[ =])", _short(text)):
        if lines[-1] and font.getlength(lines[-1] + piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.strip() for line in lines)
