"""Gallery, an image, comparing, sweeps and masks, photographed for docs/page.md: `make page-pictures`."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.browser.conftest import Windows
from tests.browser.doing import set_number, write_prompt
from tests.browser.images import made
from tests.browser.test_mask import opened, stroke
from tests.browser.test_pictures import PHONE, folder, photograph
from tests.conftest import PAGE_PICTURES, Server

__all__ = ["folder"]
SMALLER = ViewportSize(width=1200, height=760)
PROMPTS = ("rocket", "red apple", "cat face", "octopus", "sun with face", "hamburger", "unicorn", "pizza")

pytestmark = pytest.mark.skipif(PAGE_PICTURES is None, reason="ECURIE_PAGE_PICTURES names no folder for them")


@pytest.fixture(scope="module")
def stocked(server: Server) -> Server:
    """A server with pictures of two models in its gallery."""
    for seed, prompt in enumerate(PROMPTS):
        for model in ("sdxl-base", "pony-xl-v6"):
            made(server, prompt, seed=seed + 5, steps=20, model=model)
    made(server, "cat face", seed=7, steps=20, loras=[{"name": "cyberpunk-style"}])
    return server


def test_the_gallery_and_an_image(windows: Windows, stocked: Server, folder: Path) -> None:
    page = windows.open("/#/gallery", viewport=SMALLER, color_scheme="light", reduced_motion="reduce")
    expect(page.get_by_role("link", name="rocket")).to_have_count(2)
    photograph(page, "gallery", folder, colours=256)
    job = stocked.client.get("/gallery?search=cat&adapter=cyberpunk-style").json()["images"][0]
    page.goto(f"{stocked.url}/#/gallery/{job['job_id']}/0")
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("Identical, to the last pixel.")).to_be_visible()
    photograph(page, "image", folder, colours=256)


def test_two_images(windows: Windows, stocked: Server, folder: Path) -> None:
    left, right = (
        stocked.client.get(f"/gallery?search=octopus&model={model}").json()["images"][0]
        for model in ("sdxl-base", "pony-xl-v6")
    )
    keys = "/".join(f"{one['job_id']}/0" for one in (left, right))
    page = windows.open(
        f"/#/gallery/compare/{keys}", viewport=SMALLER, color_scheme="dark", reduced_motion="reduce"
    )
    page.get_by_role("slider").wait_for()
    photograph(page, "compare", folder, colours=256)


def test_a_sweep(windows: Windows, folder: Path) -> None:
    page = windows.open(viewport=SMALLER, color_scheme="light", reduced_motion="reduce")
    write_prompt(page, "cat face")
    set_number(page, "Steps", 20)
    set_number(page, "Seed", 7)
    page.get_by_role("link", name="Sweep").click()
    page.get_by_label("Across").select_option("lora:style-anime")
    page.get_by_role("textbox", name="Values").fill("0, 0.5, 1")
    page.get_by_label("Down").select_option("model")
    for name in ("Demo base", "Demo pony"):
        page.get_by_role("checkbox", name=name).check()
    page.get_by_role("button", name="Start the sweep").click()
    expect(page.get_by_text("6 of 6 ready")).to_be_visible()
    photograph(page, "sweep", folder, colours=256)


def test_a_mask(windows: Windows, stocked: Server, folder: Path) -> None:
    image = stocked.client.get("/gallery?search=unicorn").json()["images"][0]
    page, dialog = opened(windows, stocked.client.get(image["url"]).content, viewport=SMALLER)
    stroke(page, dialog, (0.2, 0.2), (0.35, 0.12), (0.6, 0.16))
    photograph(page, "mask", folder, colours=256)


def test_a_phone(windows: Windows, stocked: Server, folder: Path) -> None:
    page = windows.open(
        viewport=PHONE, is_mobile=True, has_touch=True, color_scheme="dark", reduced_motion="reduce"
    )
    page.goto(f"{stocked.url}/#/gallery")
    expect(page.get_by_role("link", name="rocket")).to_have_count(2)
    photograph(page, "phone-gallery", folder, colours=256)
