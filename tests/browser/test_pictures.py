"""The main states of the page, photographed for the README: `make page-pictures`."""

from __future__ import annotations

import re
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


def photograph(page: Page, name: str, folder: Path, colours: int | None = None) -> None:
    """From the top, with nothing below the pointer; what moves is shown where it ends. Many pictures take
    fewer bytes in fewer colours."""
    page.mouse.move(0, 0)
    page.evaluate("[...document.querySelectorAll('*')].forEach((one) => { one.scrollTop = 0 })")
    page.wait_for_load_state("networkidle")
    file = folder / f"page-{name}.png"
    page.screenshot(path=file, animations="disabled")
    with Image.open(file) as picture:
        plain = picture.convert("RGB")
        (plain if colours is None else plain.quantize(colours)).save(file, optimize=True)
    assert file.stat().st_size < MOST_BYTES


# What is photographed here, other tests do and check.
pytestmark = pytest.mark.skipif(PAGE_PICTURES is None, reason="ECURIE_PAGE_PICTURES names no folder for them")


@pytest.fixture
def folder() -> Path:
    return Path(PAGE_PICTURES or "").absolute()


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
    add_adapter(page, "Ink Sketch")
    write_prompt(page, "unicorn")
    set_number(page, "Steps", 120)
    generate(page)
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_attribute("aria-valuetext", re.compile(r"step (9\d|1\d\d) of 120"))
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
    photograph(page, f"phone-{theme}", folder)
