"""The frame of the page: its views, languages and themes, what it weighs and what it may do."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Windows
from tests.conftest import Server

MOST_BYTES = 200_000


def test_the_views_have_addresses(page: Page) -> None:
    for name in ("Queue", "Gallery", "Sweep", "Create"):
        page.get_by_role("navigation", name="Views").get_by_role("link", name=name).click()
        expect(page).to_have_url(f"{page.url.split('#')[0]}#/{name.lower()}")
        expect(page).to_have_title(f"{name} · Écurie")
        expect(page.get_by_role("navigation").get_by_role("link", name=name)).to_have_attribute(
            "aria-current", "page"
        )


def test_the_language_is_the_browsers_and_can_be_changed(windows: Windows) -> None:
    page = windows.open(locale="fr-FR")
    expect(page.get_by_role("link", name="Créer")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("link", name="Create")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="Create")).to_be_visible()


def test_the_theme_is_the_systems_and_can_be_chosen(windows: Windows) -> None:
    page = windows.open(color_scheme="dark")
    dark = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    page.get_by_role("button", name="Theme").click()
    light = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert dark != light
    page.reload()
    page.get_by_role("main").wait_for()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == light


def test_the_first_load_is_light(chromium: Browser, server: Server) -> None:
    """Everything that the browser gets until the page rests: files and answers, headers too."""
    context = chromium.new_context(locale="en-GB")
    page = context.new_page()
    network = context.new_cdp_session(page)
    sizes: list[float] = []
    network.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    network.send("Network.enable")
    page.goto(server.url)
    page.get_by_role("main").wait_for()
    page.wait_for_load_state("networkidle")
    context.close()
    assert len(sizes) > 20
    assert sum(sizes) < MOST_BYTES
