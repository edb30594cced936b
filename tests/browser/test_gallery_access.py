"""For whom gallery, images, comparing, sweeps and masks work: screen readers, phones, French, with a key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.images import drop, link_to, made, png, width_of
from tests.browser.test_access import MARKUP, PHONE, serious_findings
from tests.browser.test_dropped import FOREIGN
from tests.conftest import Server, StartServer

KEY = "k" * 40


def shown_states(page: Page, server: Server, words: tuple[str, ...]) -> Iterator[str]:
    """Brings the page to each of its states and says which; `words` to wait for are in its language."""
    use, differs, made_again, this_mask, ready = words
    one = made(server, "cherry", seed=51, loras=[{"name": "style-anime"}])
    other = made(server, "cherry pie", seed=52, model="pony-xl-v6")
    body = {"request": {"prompt": "cherry", "steps": 1}, "x": {"field": "seed", "values": [1, 2]}}
    sweep = server.client.post("/sweeps", json={**body, "y": {"field": "steps", "values": [1, 2]}}).json()[
        "id"
    ]
    page.goto(f"{server.url}/#/gallery?search=cherry")
    page.locator("[data-key]").first.wait_for()
    yield "gallery"
    page.goto(server.url + link_to(one))
    page.get_by_role("button", name=use).wait_for()
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    yield "image"
    page.goto(f"{server.url}/#/gallery/compare/{one['id']}/0/{other['id']}/0")
    page.get_by_text(differs).wait_for()
    yield "compare"
    page.goto(f"{server.url}/#/sweep/{sweep}")
    page.get_by_text(ready).wait_for()
    yield "sweep"
    drop(page, png(96, 64, parameters=FOREIGN))
    page.get_by_text("CodeFormer").wait_for()
    yield "dropped"
    page.get_by_role("dialog").get_by_role("button").nth(2).click()
    page.get_by_role("button", name=made_again).click()
    expect(page.get_by_role("button", name=this_mask)).to_be_enabled()
    yield "mask"


ENGLISH = ("Use these settings", "Settings that differ", "Paint a mask", "Use this mask", "4 of 4 ready")
FRENCH = (
    "Utiliser ces réglages",
    "Réglages qui diffèrent",
    "Peindre un masque",
    "Utiliser ce masque",
    "4 sur 4 prêtes",
)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(windows: Windows, server: Server, theme: str) -> None:
    page = windows.open("/#/queue", color_scheme=theme, reduced_motion="reduce")
    found = [(state, serious_findings(page)) for state in shown_states(page, server, ENGLISH)]
    assert [one for one in found if one[1]] == []
    assert len(found) == 6


def test_a_phone_shows_all_of_it_in_french(windows: Windows, server: Server) -> None:
    page = windows.open("/#/queue", viewport=PHONE, has_touch=True, is_mobile=True, locale="fr-FR")
    for state in shown_states(page, server, FRENCH):
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], state


def test_with_a_key_every_image_is_there(windows: Windows, start_server: StartServer) -> None:
    server = start_server(ECURIE_API_KEY=KEY)
    server.client.headers["Authorization"] = f"Bearer {KEY}"
    job = made(server, "cherry", seed=51)
    page = windows.open("/#/gallery", url=server.url)
    windows.expect(r"status of 401")
    page.get_by_label("API key").fill(KEY)
    page.get_by_role("button", name="Use this key").click()
    small = page.get_by_role("link", name="cherry").locator("img")
    assert width_of(small) == 64
    small.click()
    assert width_of(page.get_by_role("img", name="Picture of: cherry")) == 64
    with page.expect_download():
        page.get_by_role("button", name="Download").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No pictures yet")).to_be_visible()
    assert server.client.get(job["result"]["images"][0]["url"]).status_code == 404


def test_markup_in_a_prompt_is_text(windows: Windows, server: Server) -> None:
    job = made(server, f"{MARKUP}<b>cherry</b>", seed=53)
    page = windows.open("/#/gallery?search=hacked")
    expect(page.get_by_role("link", name=f"{MARKUP}<b>cherry</b>").first).to_be_visible()
    page.goto(server.url + link_to(job))
    expect(page.get_by_role("region", name="Prompt")).to_contain_text(f"{MARKUP}<b>cherry</b>")
    drop(page, server.client.get(job["result"]["images"][0]["url"]).content, f"{MARKUP}.png")
    expect(page.get_by_role("dialog")).to_contain_text(f"{MARKUP}<b>cherry</b>")
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("img[src='x'], b").count() == 0
