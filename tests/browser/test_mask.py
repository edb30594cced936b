"""A mask painted on the picture to start from, and what is drawn with it."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Windows
from tests.browser.doing import generate, result, set_number, write_prompt
from tests.browser.images import drop, png
from tests.conftest import Server


def opened(windows: Windows, start: bytes, **options: Any) -> tuple[Page, Locator]:
    """A page with the editor of masks over this picture, and its dialog."""
    page = windows.open(**options)
    drop(page, start)
    page.get_by_role("dialog").get_by_role("button", name="Start from it").click()
    page.get_by_role("button", name="Paint a mask").click()
    dialog = page.get_by_role("dialog", name="What is drawn anew")
    expect(dialog.get_by_role("button", name="Use this mask")).to_be_enabled()
    return page, dialog


def stroke(page: Page, dialog: Locator, *points: tuple[float, float]) -> None:
    """A line through points in shares of the picture."""
    box = dialog.get_by_role("application").bounding_box()
    assert box is not None
    for number, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=1 + 5 * (number > 0))
        if number == 0:
            page.mouse.down()
    page.mouse.up()


def used(page: Page, dialog: Locator, server: Server) -> NDArray[np.uint8]:
    """The mask that the server has got, in grey."""
    dialog.get_by_role("button", name="Use this mask").click()
    expect(dialog).to_be_hidden()
    shown = page.get_by_role("img", name="The mask: white is drawn anew")
    expect(shown).to_be_visible()
    address = str(shown.get_attribute("src"))
    return np.asarray(Image.open(io.BytesIO(server.client.get(address).content)).convert("L"))


def test_what_is_painted_alone_is_drawn_anew(windows: Windows, server: Server) -> None:
    page, dialog = opened(windows, png(96, 64))
    stroke(page, dialog, (0.1, 0.5), (0.45, 0.5))
    mask = used(page, dialog, server)
    assert mask.shape == (64, 96)
    assert mask[32, 25] == 255
    assert mask[:, 60:].max() == 0
    page.get_by_role("spinbutton", name="Soft edge").fill("0")
    page.get_by_role("spinbutton", name="Soft edge").blur()
    write_prompt(page, "red apple")
    set_number(page, "Steps", 4)
    generate(page)
    address = str(result(page).get_attribute("src"))
    drawn = np.asarray(Image.open(io.BytesIO(server.client.get(address).content)).convert("RGB"))
    before = np.asarray(Image.new("RGB", (96, 64), "teal"))
    assert (drawn[:, 60:] == before[:, 60:]).all()
    assert (drawn[30:34, 20:30] != before[30:34, 20:30]).any()


def test_strokes_are_undone_erased_inverted_and_cleared(windows: Windows, server: Server) -> None:
    page, dialog = opened(windows, png(96, 64))
    undo = dialog.get_by_role("button", name="Undo")
    expect(undo).to_be_disabled()
    stroke(page, dialog, (0.1, 0.5), (0.9, 0.5))
    stroke(page, dialog, (0.5, 0.1), (0.5, 0.9))
    page.keyboard.press("Control+z")
    dialog.get_by_text("Eraser").click()
    stroke(page, dialog, (0.75, 0.3), (0.75, 0.7))
    dialog.get_by_role("button", name="Invert").click()
    mask = used(page, dialog, server)
    assert [mask[32, 24], mask[10, 48], mask[32, 72], mask[10, 10]] == [0, 255, 255, 255]
    page.get_by_role("button", name="Change the mask").click()
    expect(dialog.get_by_role("button", name="Use this mask")).to_be_enabled()
    stroke(page, dialog, (0.2, 0.5), (0.3, 0.5))
    again = used(page, dialog, server)
    assert [again[32, 24], again[32, 86], again[10, 10]] == [255, 0, 255]
    page.get_by_role("button", name="Change the mask").click()
    dialog.get_by_role("button", name="Clear").click()
    dialog.get_by_role("button", name="Use this mask").click()
    expect(page.get_by_role("button", name="Paint a mask")).to_be_visible()


def test_it_is_painted_by_keys(windows: Windows, server: Server) -> None:
    page, dialog = opened(windows, png(96, 64))
    dialog.get_by_role("application").focus()
    page.keyboard.press("]")
    page.keyboard.press("Space")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    mask = used(page, dialog, server)
    assert mask[32, 48] == 255
    assert mask[32, 74] == 255
    assert mask[4, 48] == mask[32, 12] == 0


def test_it_is_painted_by_a_finger(windows: Windows, server: Server) -> None:
    page = windows.open(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    drop(page, png(96, 64))
    page.get_by_role("dialog").get_by_role("button", name="Start from it").tap()
    page.get_by_role("button", name="Paint a mask").tap()
    dialog = page.get_by_role("dialog", name="What is drawn anew")
    expect(dialog.get_by_role("button", name="Use this mask")).to_be_enabled()
    dialog.get_by_role("application").tap(position={"x": 40, "y": 40})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert used(page, dialog, server).max() == 255
