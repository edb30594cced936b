"""Two images compared."""

from __future__ import annotations

import io
import re

from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Windows
from tests.browser.images import link_to, made
from tests.conftest import Server


def test_two_images_are_chosen_and_compared(windows: Windows, server: Server) -> None:
    left = made(server, "pear on a plate", seed=21)
    right = made(server, "pear on a plate", seed=22, model="pony-xl-v6", loras=[{"name": "style-anime"}])
    page = windows.open(link_to(left))
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Choose the picture to compare with.")).to_be_visible()
    page.locator(f"a[data-key='{right['id']}/0']").click()
    expect(page).to_have_url(re.compile(f"compare/{left['id']}/0/{right['id']}/0"))
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="Seed")).to_contain_text("2122")
    expect(rows.filter(has_text="Model")).to_contain_text("sdxl-basepony-xl-v6")
    expect(rows.filter(has_text="style-anime")).to_contain_text("none0.75")
    assert rows.filter(has_text="Steps").count() == 0
    line = page.get_by_role("slider", name="Line between the two pictures")
    expect(line).to_have_attribute("aria-valuetext", "50 percent of the left picture")
    line.focus()
    page.keyboard.press("End")
    expect(line).to_have_attribute("aria-valuetext", "100 percent of the left picture")
    box = line.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    share = re.match(r"\d+", str(line.get_attribute("aria-valuetext")))
    assert share is not None
    assert 20 <= int(share[0]) <= 30
    page.get_by_role("button", name="Swap").click()
    expect(page).to_have_url(re.compile(f"compare/{right['id']}/0/{left['id']}/0"))
    page.get_by_text("Side by side").click()
    expect(page.get_by_role("img", name="Right picture: pear on a plate")).to_be_visible()


def test_the_difference_of_an_image_and_itself_is_black(windows: Windows, server: Server) -> None:
    job = made(server, "nashi", seed=23)
    key = f"{job['id']}/0"
    page = windows.open(f"/#/gallery/compare/{key}/{key}")
    page.get_by_text("Difference", exact=True).click()
    shown = page.get_by_role("figure")
    expect(shown.get_by_role("img")).to_be_visible()
    for image in shown.locator("img").all():
        image.evaluate("image => image.decode()")
    picture = Image.open(io.BytesIO(shown.screenshot())).convert("L")
    upper = picture.crop((4, 4, picture.width - 4, picture.height // 2))
    assert upper.getextrema() == (0, 0)
