"""The gallery: found, walked through by keys, deleted; it loads as far as somebody looks."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.images import filled, made, width_of
from tests.conftest import Server


def tiles(page: Page) -> list[str]:
    """What is said of each image, in order."""
    found = page.get_by_role("list", name="Pictures, newest first").get_by_role("link")
    return [str(one.get_attribute("aria-label")) for one in found.all()]


def test_images_are_found_by_words_model_and_adapter(windows: Windows, server: Server) -> None:
    made(server, "quince in a basket", seed=1)
    made(server, "Quince JAM", seed=2, loras=[{"name": "style-anime"}])
    made(server, "quince tree", seed=3, model="pony-xl-v6")
    page = windows.open("/#/gallery?search=quince")
    expect(page.get_by_role("link", name="quince")).to_have_count(3)
    assert [label.split(",")[0] for label in tiles(page)] == [
        "quince tree",
        "Quince JAM",
        "quince in a basket",
    ]
    assert width_of(page.get_by_role("link", name="Quince JAM").locator("img")) == 64
    page.get_by_role("searchbox").fill("jam QUINCE")
    expect(page.get_by_role("link", name="quince")).to_have_count(1)
    assert "search=jam+QUINCE" in page.url
    page.get_by_role("searchbox").fill("quince")
    expect(page.get_by_role("link", name="quince")).to_have_count(3)
    page.get_by_label("Model").select_option("pony-xl-v6")
    expect(page.get_by_role("link", name="quince")).to_have_count(1)
    page.get_by_label("Adapter").select_option("style-anime")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.get_by_label("Model").select_option("")
    expect(page.get_by_role("link", name="Quince JAM")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Adapter")).to_have_value("style-anime")
    expect(page.get_by_role("link", name="quince")).to_have_count(1)


def test_it_loads_as_far_as_somebody_looks(windows: Windows, server: Server) -> None:
    filled(server, "walnut", 200)
    asked: list[str] = []
    page = windows.open("/#/queue")
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/#/gallery?search=walnut")
    links = page.get_by_role("link", name="walnut")
    expect(page.get_by_role("link", name="walnut 199,")).to_be_visible()
    first = links.count()
    assert 60 <= first < 200
    small = [url for url in asked if url.endswith("/thumbnail")]
    assert len(small) < first
    for _ in range(40):
        page.mouse.wheel(0, 3000)
        if links.count() == 200:
            break
        page.wait_for_timeout(100)
    expect(links).to_have_count(200)
    expect(page.get_by_role("link", name="walnut 0,")).to_be_attached()
    numbers = [int(re.sub(r"\D", "", label.split(",")[0])) for label in tiles(page)]
    assert numbers == list(range(199, -1, -1))
    assert not [url for url in asked if "/outputs/" in url and not url.endswith("/thumbnail")]


def test_the_keys_lead_through_it(windows: Windows, server: Server) -> None:
    filled(server, "hazelnut", 30)
    page = windows.open("/#/gallery?search=hazelnut")
    tile = page.get_by_role("link", name="hazelnut 29,")
    tile.wait_for()
    page.get_by_label("Adapter").focus()
    page.keyboard.press("Tab")
    expect(tile).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("link", name="hazelnut 28,")).to_be_focused()
    row = page.evaluate("document.activeElement.getBoundingClientRect().top")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") > row
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("link", name="hazelnut 28,")).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("link", name="hazelnut 0,")).to_be_focused()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Use these settings")).to_be_visible()
    expect(page.get_by_text("hazelnut 29").first).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_text("hazelnut 28").first).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("hazelnut 29").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("searchbox")).to_have_value("hazelnut")


def test_an_image_is_deleted_after_a_question(windows: Windows, server: Server) -> None:
    files = filled(server, "chestnut", 3)
    page = windows.open("/#/gallery?search=chestnut")
    page.get_by_role("link", name="chestnut 1,").focus()
    page.keyboard.press("Delete")
    dialog = page.get_by_role("dialog", name="Delete this picture?")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("link", name="chestnut 1,")).to_be_focused()
    page.keyboard.press("Delete")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("link", name="chestnut 1,")).to_be_hidden()
    expect(page.get_by_role("link", name="chestnut 0,")).to_be_focused()
    assert server.client.get(f"/outputs/{files[1]}").json()["code"] == "unknown-output"
    assert not (server.data_dir / "outputs" / files[1]).exists()
    assert len(server.client.get("/gallery?search=chestnut").json()["images"]) == 2


def test_new_images_appear(windows: Windows, server: Server) -> None:
    page = windows.open("/#/gallery?search=almond")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    filled(server, "almond", 40)
    expect(page.get_by_role("link", name="almond 39,")).to_be_visible()
    page.mouse.wheel(0, 1200)
    made(server, "almond blossom", seed=1)
    page.get_by_role("button", name="1 new picture").click()
    expect(page.get_by_role("link", name="almond blossom")).to_be_in_viewport()
