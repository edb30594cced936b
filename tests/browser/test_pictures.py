"""The main states of the page, photographed for the README where ECURIE_PAGE_PICTURES names a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import Windows
from tests.browser.doing import add_adapter, generate, result, set_number, write_prompt
from tests.conftest import PAGE_PICTURES, Server

DESKTOP = ViewportSize(width=1440, height=900)
PHONE = ViewportSize(width=390, height=844)
MOST_BYTES = 300_000


def photograph(page: Page, name: str, folder: Path) -> None:
    """In 256 colours, which such pages hardly need."""
    page.wait_for_load_state("networkidle")
    whole = folder / f"page-{name}-whole.png"
    # What moves is shown where it ends.
    page.screenshot(path=whole, animations="disabled")
    with Image.open(whole) as picture:
        assert picture.size == tuple((page.viewport_size or DESKTOP).values())
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
            folder / f"page-{name}.png", optimize=True
        )
    whole.unlink()
    assert (folder / f"page-{name}.png").stat().st_size < MOST_BYTES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path if PAGE_PICTURES is None else Path(PAGE_PICTURES).absolute()


def draw(page: Page, prompt: str, **numbers: float) -> None:
    write_prompt(page, prompt)
    for label, value in numbers.items():
        set_number(page, label, value)
    generate(page)
    expect(result(page)).to_have_attribute("alt", f"Picture of: {prompt}")


def test_the_desk(windows: Windows, folder: Path) -> None:
    """Light: a picture with adapters, and those before it."""
    page = windows.open(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce")
    for seed, prompt in ((7, "rocket"), (3, "hamburger"), (7, "red apple"), (5, "unicorn")):
        draw(page, prompt, Seed=seed, Steps=20)
    add_adapter(page, "Anime Style")
    draw(page, "cat face", Seed=7)
    photograph(page, "create", folder)


def test_the_desk_at_night(windows: Windows, folder: Path) -> None:
    """Dark: while a picture comes."""
    page = windows.open(viewport=DESKTOP, color_scheme="dark", reduced_motion="reduce")
    for seed, prompt in ((7, "octopus"), (7, "sun with face")):
        draw(page, prompt, Seed=seed, Steps=20)
    add_adapter(page, "Cyberpunk")
    write_prompt(page, "rocket")
    set_number(page, "Steps", 120)
    generate(page)
    expect(page.get_by_role("img", name="What is drawn so far")).to_be_visible()
    photograph(page, "create-dark", folder)


def test_the_queue(windows: Windows, server: Server, folder: Path) -> None:
    page = windows.open("/#/queue", viewport=DESKTOP, color_scheme="light", reduced_motion="reduce")
    server.wait_for(server.submit(prompt="hamburger", seed=3, steps=20), "succeeded")
    ids = [
        server.submit(prompt=prompt, num_images=count, steps=60)
        for prompt, count in (("cat face", 4), ("rocket", 2), ("a butterfly on a red mushroom", 1))
    ]
    expect(page.get_by_role("region", name="Waiting").get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("img", name="What is drawn so far")).to_be_visible()
    photograph(page, "queue", folder)
    for job_id in ids:
        server.client.delete(f"/jobs/{job_id}")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone(windows: Windows, folder: Path, theme: str) -> None:
    page = windows.open(
        viewport=PHONE, is_mobile=True, has_touch=True, color_scheme=theme, reduced_motion="reduce"
    )
    draw(page, "red apple", Seed=7, Steps=20)
    page.evaluate("scrollTo(0, 0)")
    photograph(page, f"phone-{theme}", folder)
