"""For whom the page works: with keys, without a server, on phones, by keyboard; and what it never does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.browser.conftest import Windows
from tests.browser.doing import add_adapter, generate, result, set_number, write_prompt
from tests.conftest import DEMO_FOLDER, Server, StartServer

AXE = (Path(__file__).parents[1] / "data" / "axe" / "axe.min.js").read_text()
PHONE = ViewportSize(width=390, height=844)
VIEWS = ("create", "queue", "gallery", "sweep")
MARKUP = "<img src=x onerror=hacked=1>"


def test_a_key_is_asked_for_and_a_wrong_one_refused(windows: Windows, start_server: StartServer) -> None:
    key = "k" * 40
    server = start_server(ECURIE_API_KEY=key)
    page = windows.open(url=server.url)
    windows.expect(r"status of 401")
    dialog = page.get_by_role("dialog", name="This server asks for a key")
    dialog.get_by_label("API key").fill("wrong")
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog.get_by_role("alert")).to_contain_text("does not accept this key")
    dialog.get_by_label("API key").fill(key)
    dialog.get_by_role("button", name="Use this key").click()
    expect(dialog).to_be_hidden()
    write_prompt(page, "red apple")
    set_number(page, "Steps", 3)
    generate(page)
    expect(result(page)).to_be_visible()
    assert result(page).evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
    page.reload()
    expect(result(page)).to_be_visible()
    another = windows.open(context=page.context, url=server.url)
    windows.expect(r"status of 401")
    expect(another.get_by_role("dialog", name="This server asks for a key")).to_be_visible()


def test_a_server_that_is_away_costs_nothing_typed(windows: Windows, start_server: StartServer) -> None:
    server = start_server()
    page = windows.open(url=server.url)
    windows.expect(
        "ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE", "INCOMPLETE_CHUNKED"
    )
    set_number(page, "Steps", 150)
    write_prompt(page, "rocket")
    generate(page)
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    server.process.terminate()
    server.process.wait()
    banner = page.get_by_text("The server does not answer")
    expect(banner).to_be_visible()
    write_prompt(page, "cat face")
    expect(page.get_by_role("button", name="Waiting for the server")).to_be_disabled()
    server.restart()
    server.wait_ready()
    expect(banner).to_be_hidden()
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("cat face")
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    expect(result(page)).to_have_attribute("alt", "Picture of: rocket")


def test_a_phone_shows_all_of_it(windows: Windows) -> None:
    """One column, nothing to push sideways, and what is pressed most lies below the thumb."""
    page = windows.open(viewport=PHONE, has_touch=True, is_mobile=True)
    write_prompt(page, "red apple")
    add_adapter(page, "Anime Style")
    set_number(page, "Steps", 3)
    for view in VIEWS:
        page.goto(f"{page.url.split('#')[0]}#/{view}")
        page.get_by_role("link", name=view.capitalize()).wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
    page.get_by_role("link", name="Create").tap()
    for button in (page.get_by_role("button", name="Generate"), page.get_by_role("link", name="Queue")):
        box = button.bounding_box()
        assert box is not None
        assert box["y"] > PHONE["height"] * 0.7
        assert min(box["width"], box["height"]) >= 44
    page.get_by_role("button", name="Generate").tap()
    expect(result(page)).to_be_in_viewport()


@pytest.fixture
def hostile_adapter(server: Server) -> Iterator[str]:
    file = server.data_dir / "models" / "adapters" / f"{MARKUP}.safetensors"
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(DEMO_FOLDER.parent / "adapters" / "ink-sketch.safetensors", file)
    yield MARKUP
    file.unlink()


def test_markup_in_prompts_and_names_is_text(windows: Windows, hostile_adapter: str) -> None:
    page = windows.open()
    write_prompt(page, f"{MARKUP}<b>rocket</b>")
    set_number(page, "Steps", 2)
    add_adapter(page, hostile_adapter)
    expect(page.get_by_role("region", name="Adapters").get_by_role("listitem")).to_contain_text(MARKUP)
    generate(page)
    expect(result(page)).to_have_attribute("alt", f"Picture of: {MARKUP}<b>rocket</b>")
    page.get_by_role("link", name="Queue").click()
    expect(page.get_by_text(f"{MARKUP}<b>rocket</b>").first).to_be_visible()
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("img[src='x'], b").count() == 0


def serious_findings(page: Page) -> list[str]:
    page.evaluate(AXE)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        f"{one['id']}: {json.dumps([node['html'] + ' ' + node['failureSummary'] for node in one['nodes']])}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(windows: Windows, theme: str) -> None:
    # Colours in the middle of a change would be found, too.
    page = windows.open(color_scheme=theme, reduced_motion="reduce")
    write_prompt(page, "rocket")
    set_number(page, "Steps", 2)
    add_adapter(page, "Cyberpunk")
    expect(page.get_by_role("button", name="neon")).to_be_visible()
    page.get_by_text("Fine tuning").click()
    page.get_by_text("Add what to avoid").click()
    generate(page)
    expect(result(page)).to_be_visible()
    found = serious_findings(page)
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_role("searchbox").wait_for()
    found += serious_findings(page)
    page.keyboard.press("Escape")
    for view in VIEWS[1:]:
        page.get_by_role("link", name=view.capitalize()).click()
        page.get_by_role("heading", level=1, name=view.capitalize()).wait_for()
        found += serious_findings(page)
    assert not found, "\n".join(found)


def test_the_keyboard_alone_is_enough(windows: Windows) -> None:
    """The first stop leads to the content; a dialog keeps the focus and gives it back."""
    page = windows.open("/#/queue")
    page.get_by_role("heading", level=1).wait_for()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.goto(f"{page.url.split('#')[0]}#/create")
    opener = page.get_by_role("button", name="Add", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    for _ in range(12):
        page.keyboard.press("Tab")
    assert page.evaluate(
        "document.activeElement === document.body || !!document.activeElement.closest('dialog')"
    )
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()
    page.get_by_role("textbox", name="Prompt").fill("rocket")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("progressbar", name="Progress").or_(result(page)).first).to_be_visible()
