"""Sweeps: put together, filled while they are made, looked into, saved and cancelled."""

from __future__ import annotations

import io
import re

from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.doing import set_number, write_prompt
from tests.conftest import Server


def built(windows: Windows, prompt: str, steps: int) -> Page:
    page = windows.open()
    write_prompt(page, prompt)
    set_number(page, "Steps", steps)
    page.get_by_role("link", name="Sweep").click()
    return page


def test_a_sweep_is_built_fills_and_leads_to_its_images(windows: Windows, server: Server) -> None:
    page = built(windows, "sloe", 2)
    expect(page.get_by_role("region", name="What is varied")).to_contain_text("sloe")
    page.get_by_label("Across").select_option("model")
    for name in ("Demo base", "Demo pony"):
        page.get_by_role("checkbox", name=name).check()
    page.get_by_label("Down").select_option("lora:style-anime")
    expect(page.get_by_text("Give values for: Anime Style LoRA")).to_be_visible()
    values = page.get_by_role("textbox", name="Values")
    values.fill("0, 0.5, x")
    expect(page.get_by_text("“x” is not such a number")).to_be_visible()
    expect(page.get_by_role("button", name="Start the sweep")).to_be_disabled()
    values.fill("0, 0.5, 1")
    expect(page.get_by_text("6 pictures")).to_be_visible()
    page.get_by_role("button", name="Start the sweep").click()
    grid = page.get_by_role("table")
    expect(grid.get_by_role("columnheader")).to_have_text([re.compile("Demo base"), re.compile("Demo pony")])
    expect(grid.get_by_role("rowheader")).to_have_text(["0", "0.5", "1"])
    expect(grid.get_by_role("img", name="Picture of: sloe")).to_have_count(6)
    expect(page.get_by_text("6 of 6 ready")).to_be_visible()
    sweep_id = page.url.rsplit("/", 1)[1]
    sweep = server.client.get(f"/sweeps/{sweep_id}").json()
    assert (sweep["x"]["values"], sweep["y"]["values"]) == (["sdxl-base", "pony-xl-v6"], [0, 0.5, 1])
    assert len({cell["image"]["seed"] for cell in sweep["cells"]}) == 1
    with page.expect_download() as started:
        page.get_by_role("button", name="Download the grid").click()
    picture = Image.open(io.BytesIO(started.value.path().read_bytes()))
    assert (picture.format, picture.width > 2 * 64) == ("PNG", True)
    grid.get_by_role("link").nth(3).click()
    expect(page).to_have_url(re.compile(f"gallery/{sweep['cells'][3]['job_id']}/0"))
    page.goto(f"{server.url}/#/sweep")
    page.get_by_role("region", name="Earlier sweeps").get_by_role("link", name="sloe").click()
    expect(page.get_by_text("6 of 6 ready")).to_be_visible()


def test_words_of_the_prompt_are_varied(windows: Windows) -> None:
    page = built(windows, "red juniper", 1)
    page.get_by_label("Across").select_option("prompt_replace")
    page.get_by_label("Values").fill("blue\ngreen")
    expect(page.get_by_text("The prompt does not hold “blue”.")).to_be_visible()
    page.get_by_label("Values").fill("red\nblue")
    page.get_by_role("button", name="Start the sweep").click()
    expect(page.get_by_role("img", name="Picture of: blue juniper")).to_be_visible()
    expect(page.get_by_role("img", name="Picture of: red juniper")).to_be_visible()


def test_the_rest_of_a_sweep_is_cancelled(windows: Windows, server: Server) -> None:
    page = built(windows, "myrtle", 150)
    page.get_by_label("Across").select_option("seed")
    page.get_by_role("button", name="4 random seeds").click()
    page.get_by_label("Down").select_option("clip_skip")
    page.get_by_label("Values").last.fill("1 2 3")
    page.get_by_role("button", name="Start the sweep").click()
    page.get_by_role("button", name="Cancel the rest").click()
    expect(page.get_by_role("button", name="Cancel the rest")).to_be_hidden()
    expect(page.get_by_text(re.compile("cancelled")).first).to_be_visible()
    sweep = server.client.get(f"/sweeps/{page.url.rsplit('/', 1)[1]}").json()
    assert sweep["state"] == "cancelled"


def test_an_unknown_sweep_says_so(windows: Windows) -> None:
    page = windows.open("/#/sweep/nowhere")
    windows.expect("status of 404")
    expect(page.get_by_text("there is no sweep 'nowhere'")).to_be_visible()
