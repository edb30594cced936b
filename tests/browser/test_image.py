"""One image: what made it is shown, and it can be used, made again, compared, saved and deleted."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.doing import result
from tests.browser.images import link_to, made
from tests.conftest import Server


def fact(page: Page, name: str) -> str:
    row = page.locator("dl > div").filter(has=page.get_by_text(name, exact=True)).first
    return row.locator("dd").inner_text()


def test_everything_that_made_it_is_shown_and_can_be_used(windows: Windows, server: Server) -> None:
    job = made(
        server, "medlar", seed=11, steps=3, guidance_scale=4.5, scheduler="euler-a", negative_prompt="dull",
        loras=[{"name": "style-anime", "unet": 0.6, "text_encoder": 0.2}],
    )  # fmt: skip
    page = windows.open(link_to(job))
    page.get_by_role("button", name="Use these settings").wait_for()
    shown = {name: fact(page, name) for name in ("Seed", "Steps", "Guidance", "Scheduler", "Size")}
    assert shown == {"Seed": "11", "Steps": "3", "Guidance": "4.5", "Scheduler": "euler-a", "Size": "64 × 64"}
    adapter = page.get_by_role("region", name="Adapters").get_by_role("listitem").first
    expect(adapter).to_contain_text("0.6 (words 0.2)")
    expect(adapter).to_contain_text("Words added: anime style")
    expect(page.get_by_role("region", name="Prompt")).to_contain_text(job["result"]["prompt"])
    page.get_by_text("Details").click()
    expect(page.get_by_text(job["result"]["report"]["versions"]["torch"])).to_be_visible()
    page.get_by_role("button", name="Use these settings").click()
    expect(page).to_have_url(re.compile("#/create"))
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("medlar")
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("11")
    expect(page.get_by_role("spinbutton", name="Steps")).to_have_value("3")
    expect(page.get_by_role("spinbutton", name="Weight of Anime Style", exact=False).first).to_have_value(
        "0.6"
    )


def test_a_replay_says_that_it_is_the_same(windows: Windows, server: Server) -> None:
    job = made(server, "sorb apple", seed=12)
    page = windows.open(link_to(job))
    page.get_by_role("button", name="Replay").click()
    again = page.get_by_role("region", name="Made again")
    expect(again).to_contain_text("Identical, to the last pixel.")
    again.get_by_role("link", name="Compare").click()
    expect(page.get_by_text("Both were made with the same settings.")).to_be_visible()


def test_a_replay_without_metadata_is_made_from_its_manifest(windows: Windows, server: Server) -> None:
    job = made(server, "rowan", seed=12, metadata=False)
    page = windows.open(link_to(job))
    page.get_by_role("button", name="Replay").click()
    expect(page.get_by_text("there was no original to compare with")).to_be_visible()


def test_the_seed_is_varied(windows: Windows, server: Server) -> None:
    job = made(server, "service tree", seed=13)
    page = windows.open(link_to(job))
    page.get_by_role("button", name="Vary the seed").click()
    expect(result(page)).to_have_attribute("alt", "Picture of: service tree")
    newest = server.client.get("/jobs?limit=1").json()["jobs"][0]["request"]
    assert newest["seed"] != 13
    assert {**newest, "seed": 13} == job["request"]


def test_it_is_a_picture_to_start_from_and_a_reference(windows: Windows, server: Server) -> None:
    job = made(server, "bullace", seed=14)
    page = windows.open(link_to(job))
    page.get_by_role("button", name="Start from it").click()
    expect(page.get_by_role("img", name="The picture to start from")).to_be_visible()
    page.go_back()
    page.get_by_role("button", name="Borrow its look").click()
    expect(page.get_by_role("img", name="Reference 1")).to_be_visible()


def test_it_is_copied_and_saved(windows: Windows, server: Server, tmp_path: Path) -> None:
    job = made(server, "it's a plum", seed=15)
    (image,) = job["result"]["images"]
    page = windows.open(link_to(job))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])

    def copied(name: str) -> str:
        page.get_by_role("button", name=name, exact=True).click()
        expect(page.get_by_text("Copied:")).to_be_visible()
        text: str = page.evaluate("navigator.clipboard.readText()")
        return text

    assert (copied("Prompt"), copied("Seed")) == ("it's a plum", "15")
    command = shlex.split(copied("curl"))
    body = json.loads(command[command.index("-d") + 1])
    answer = server.client.post(command[command.index("POST") + 1], json=body)
    assert answer.json()["result"]["images"][0]["seed"] == 15
    with page.expect_download() as started:
        page.get_by_role("button", name="Download").click()
    started.value.save_as(tmp_path / "saved.png")
    assert started.value.suggested_filename == image["filename"]
    sent = server.client.get(image["url"]).content
    assert hashlib.sha256((tmp_path / "saved.png").read_bytes()).digest() == hashlib.sha256(sent).digest()


def test_it_is_looked_at_closely(windows: Windows, server: Server) -> None:
    job = made(server, "damson", seed=16)
    page = windows.open(link_to(job))
    picture = page.get_by_role("img", name="Picture of: damson")
    whole = picture.bounding_box()
    frame = page.get_by_role("group", name="Picture. Plus and minus")
    frame.focus()
    page.keyboard.press("+")
    page.keyboard.press("+")
    near = picture.bounding_box()
    page.keyboard.press("ArrowLeft")
    moved = picture.bounding_box()
    assert whole is not None
    assert near is not None
    assert moved is not None
    assert near["width"] > 2 * whole["width"]
    assert moved["x"] > near["x"]
    page.keyboard.press("0")
    assert picture.bounding_box() == whole
    frame.hover()
    page.mouse.wheel(0, -600)
    expect(page.get_by_role("button", name="Reduce")).to_be_enabled()
    page.get_by_role("button", name="Show all of it").click()
    assert picture.bounding_box() == whole


def test_an_image_that_is_not_there_says_so(windows: Windows, server: Server) -> None:
    page = windows.open("/#/gallery/0000/0")
    windows.expect("status of 404")
    expect(page.get_by_text("there is no job '0000'")).to_be_visible()


def test_the_next_one_is_shown_after_one_is_deleted(windows: Windows, server: Server) -> None:
    job = made(server, "greengage", seed=17, num_images=2)
    page = windows.open("/#/gallery?search=greengage")
    page.get_by_role("link", name="greengage").first.click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(re.compile(f"{job['id']}/0"))
    page.get_by_role("link", name="Back to the gallery").click()
    expect(page.get_by_role("link", name="greengage")).to_have_count(1)
