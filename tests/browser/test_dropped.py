"""Pictures that are dropped on the page."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Windows
from tests.browser.images import drop, made, png
from tests.conftest import Server

FOREIGN = """a loquat <lora:style-anime:0.5>
Negative prompt: dull
Steps: 17, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 123, Size: 96x64, \
Model: Unheard Of, Face restoration: CodeFormer"""


def test_an_image_of_ours_gives_its_settings_back(windows: Windows, server: Server) -> None:
    job = made(server, "loquat", seed=31, steps=3)
    content = server.client.get(job["result"]["images"][0]["url"]).content
    page = windows.open("/#/queue")
    drop(page, content)
    dialog = page.get_by_role("dialog", name="What is this picture for?")
    expect(dialog).to_contain_text("Made by Écurie:")
    expect(dialog).to_contain_text("loquat")
    dialog.get_by_role("button", name="Load its settings").click()
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("loquat")
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("31")
    expect(page.get_by_role("spinbutton", name="Steps")).to_have_value("3")


def test_a_foreign_one_gives_what_there_is_and_says_what_there_is_not(windows: Windows) -> None:
    page = windows.open("/#/gallery")
    drop(page, png(96, 64, parameters=FOREIGN))
    dialog = page.get_by_role("dialog")
    notes = dialog.get_by_role("list", name="What cannot be taken over").get_by_role("listitem")
    expect(notes).to_have_text(
        [
            "the model 'Unheard Of' is not in this server's catalogue",
            "Face restoration: CodeFormer is not taken over",
        ]
    )
    dialog.get_by_role("button", name="Load its settings").click()
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("a loquat")
    expect(page.get_by_role("spinbutton", name="Steps")).to_have_value("17")
    expect(page.get_by_role("region", name="Adapters").get_by_role("listitem")).to_contain_text("Anime Style")


def test_one_that_tells_nothing_is_still_a_picture(windows: Windows) -> None:
    page = windows.open("/#/sweep")
    drop(page, png(80, 64))
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("It does not tell how it was made.")
    expect(dialog.get_by_role("button", name="Load its settings")).to_be_disabled()
    dialog.get_by_role("button", name="Start from it").click()
    expect(page.get_by_role("img", name="The picture to start from")).to_be_visible()
    drop(page, png(80, 72, "red"))
    dialog.get_by_role("button", name="Borrow its look").click()
    expect(page.get_by_role("img", name="Reference 1")).to_be_visible()


def test_what_is_no_picture_is_refused(windows: Windows) -> None:
    page = windows.open("/#/gallery")
    windows.expect("status of 422")
    drop(page, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    expect(page.get_by_text("this is no picture that can be read")).to_be_visible()
    expect(page.get_by_role("dialog")).to_be_hidden()
