"""Asking for pictures in the page, and seeing them come."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from playwright.sync_api import JSHandle, Page, expect

from tests.browser.conftest import Windows
from tests.browser.doing import add_adapter, generate, result, set_number, shown_file, stage, write_prompt
from tests.conftest import Server

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "start.png"


def pixels(page: Page) -> list[int]:
    """Of the picture that the stage shows."""
    result(page).evaluate("image => image.decode()")
    values: list[int] = result(page).evaluate(
        """image => {
            const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            return [...context.getImageData(0, 0, canvas.width, canvas.height).data];
        }"""
    )
    return values


def test_a_picture_is_asked_for_followed_and_shown(page: Page, server: Server) -> None:
    write_prompt(page, "red apple")
    expect(page.get_by_text("2 tokens")).to_be_visible()
    set_number(page, "Steps", 40)
    generate(page)
    bar = page.get_by_role("progressbar", name="Progress")
    expect(bar).to_have_attribute("aria-valuetext", re.compile(r"Drawing, step \d+ of 40"))
    expect(page.get_by_role("img", name="What is drawn so far")).to_be_visible()
    expect(page.get_by_text("The picture is ready")).to_be_attached()
    (image,) = server.client.get("/jobs?limit=1").json()["jobs"][0]["result"]["images"]
    assert shown_file(page) == image["url"]
    expect(page.get_by_text(f"Seed {image['seed']}")).to_be_visible()


def test_an_adapter_changes_the_picture(page: Page, server: Server) -> None:
    """With the same seed; its trigger words are said, and what its run reported stands beside it."""
    write_prompt(page, "rocket")
    set_number(page, "Seed", 7)
    set_number(page, "Steps", 8)
    generate(page)
    plain = shown_file(page)
    before = pixels(page)
    add_adapter(page, "Cyberpunk")
    expect(page.get_by_role("button", name="neon")).to_have_attribute("aria-pressed", "true")
    generate(page)
    expect(result(page)).not_to_have_attribute("src", plain)
    after = pixels(page)
    assert len(before) == len(after)
    assert sum(abs(a - b) for a, b in zip(before, after, strict=True)) / len(after) > 10
    job = server.client.get("/jobs?limit=1").json()["jobs"][0]
    assert [(lora["name"], lora["unet"]) for lora in job["request"]["loras"]] == [("cyberpunk-style", 0.8)]
    assert job["result"]["prompt"] == "rocket, cyberpunk, neon"


def test_the_stack_is_reordered_weighed_and_split(page: Page, server: Server) -> None:
    """By dragging and by the keyboard; weights by the number and along the line."""
    write_prompt(page, "rocket")
    for name in ("Anime Style", "Cyberpunk", "Ink Sketch"):
        add_adapter(page, name)
    rows = page.get_by_role("region", name="Adapters").get_by_role("listitem")
    grip = rows.nth(0).get_by_role("button", name=re.compile("^Move"))
    grip.focus()
    page.keyboard.press("ArrowDown")
    expect(rows.nth(1)).to_contain_text("Anime Style")
    expect(rows.nth(1).get_by_role("button", name=re.compile("^Move"))).to_be_focused()
    grip = rows.nth(2).get_by_role("button", name=re.compile("^Move"))
    grip.hover()
    # Hovering may have scrolled.
    target = rows.nth(0).bounding_box()
    page.mouse.down()
    assert target is not None
    page.mouse.move(target["x"] + 20, target["y"] + 8, steps=6)
    page.mouse.up()
    expect(rows.nth(0)).to_contain_text("Ink Sketch")
    rows.nth(0).get_by_role("spinbutton").fill("-1.5")
    rows.nth(1).get_by_role("button", name="Two weights").click()
    rows.nth(1).get_by_role("slider", name="text encoders").press("Home")
    rows.nth(2).get_by_role("button", name=re.compile("^Use")).click()
    set_number(page, "Steps", 1)
    generate(page)
    shown_file(page)
    sent = server.client.get("/jobs?limit=1").json()["jobs"][0]["request"]["loras"]
    assert [(lora["name"], lora["unet"], lora["text_encoder"]) for lora in sent] == [
        ("ink-sketch", -1.5, -1.5),
        ("cyberpunk-style", 0.8, -2),
    ]


def test_trigger_words_are_written_or_left_out(page: Page) -> None:
    write_prompt(page, "rocket")
    add_adapter(page, "Cyberpunk")
    prompt = page.get_by_role("textbox", name="Prompt")
    neon = page.get_by_role("button", name="neon")
    neon.click()
    expect(neon).to_have_attribute("aria-pressed", "false")
    expect(prompt).to_have_value("rocket, cyberpunk")
    neon.click()
    expect(prompt).to_have_value("rocket, cyberpunk, neon")
    page.get_by_role("button", name="cyberpunk", exact=True).click()
    expect(prompt).to_have_value("rocket, neon")
    page.get_by_role("button", name="Add them automatically again").click()
    page.get_by_text("What the model reads").click()
    expect(page.get_by_text("rocket, neon, cyberpunk")).to_be_visible()


def test_a_job_is_cancelled(page: Page, server: Server) -> None:
    write_prompt(page, "rocket")
    set_number(page, "Steps", 150)
    for _ in range(3):
        page.get_by_role("button", name="One picture more").click()
    generate(page)
    expect(page.get_by_role("img", name="What is drawn so far")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(stage(page).get_by_text("Cancelled").first).to_be_visible()
    assert server.client.get("/jobs?limit=1").json()["jobs"][0]["state"] == "cancelled"


def test_a_reload_in_the_middle_loses_nothing(page: Page) -> None:
    write_prompt(page, "cat face")
    set_number(page, "Steps", 60)
    set_number(page, "Seed", 11)
    add_adapter(page, "Ink Sketch")
    generate(page)
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    page.reload()
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("cat face")
    expect(page.get_by_role("spinbutton", name="Seed")).to_have_value("11")
    expect(page.get_by_role("region", name="Adapters").get_by_role("listitem")).to_contain_text("Ink Sketch")
    expect(result(page)).to_be_visible()


def test_two_windows_work_for_themselves(windows: Windows) -> None:
    """Of one browser: what is set and what was made in one is not in the other."""
    one = windows.open()
    write_prompt(one, "rocket")
    set_number(one, "Steps", 20)
    two = windows.open(context=one.context)
    write_prompt(two, "red apple")
    set_number(two, "Steps", 4)
    generate(one)
    generate(two)
    expect(result(one)).to_have_attribute("alt", "Picture of: rocket")
    expect(result(two)).to_have_attribute("alt", "Picture of: red apple")
    for page, prompt in ((one, "rocket"), (two, "red apple")):
        page.reload()
        expect(page.get_by_role("textbox", name="Prompt")).to_have_value(prompt)
        expect(result(page)).to_have_attribute("alt", f"Picture of: {prompt}")


def test_settings_of_a_picture_are_used_again_and_varied(page: Page, server: Server) -> None:
    write_prompt(page, "rocket")
    set_number(page, "Steps", 5)
    generate(page)
    first = shown_file(page)
    page.get_by_role("button", name="Vary").click()
    expect(result(page)).not_to_have_attribute("src", first)
    jobs = server.client.get("/jobs?limit=2").json()["jobs"]
    varied, original = (job["request"] for job in jobs)
    assert varied.pop("seed") != original.pop("seed")
    assert varied == original
    write_prompt(page, "something else")
    page.get_by_role("button", name="Use settings").click()
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("rocket")
    expect(page.get_by_role("button", name="Keep this seed")).to_have_attribute("aria-pressed", "true")


def with_file(page: Page) -> JSHandle:
    """What the browser hands over when a picture is pasted or dropped."""
    return page.evaluate_handle(
        """content => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], 'picture.png', { type: 'image/png' }));
            return data;
        }""",
        base64.b64encode(PICTURE.read_bytes()).decode(),
    )


def test_a_picture_is_started_from_and_others_lend_their_look(page: Page, server: Server) -> None:
    """Pasted, dropped and chosen as a file."""
    write_prompt(page, "dog face")
    set_number(page, "Steps", 6)
    section = page.get_by_role("region", name="Pictures", exact=True)
    page.evaluate(
        "data => document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))",
        with_file(page),
    )
    expect(section.get_by_role("img", name="The picture to start from")).to_be_visible()
    section.get_by_text("Borrow a look").dispatch_event("drop", {"dataTransfer": with_file(page)})
    expect(section.get_by_role("img", name="Reference 1")).to_be_visible()
    section.get_by_role("button", name="Remove the picture to start from").click()
    section.get_by_label("Start from a picture").set_input_files(PICTURE)
    expect(section.get_by_role("img", name="The picture to start from")).to_be_visible()
    generate(page)
    first = shown_file(page)
    sent = server.client.get("/jobs?limit=1").json()["jobs"][0]["request"]
    assert sent["init_image"] == sent["reference_images"][0]
    assert (sent["strength"], sent["ip_strength"]) == (0.75, 0.6)
    page.get_by_role("button", name="Start from this").click()
    generate(page)
    expect(result(page)).not_to_have_attribute("src", first)
    again = server.client.get("/jobs?limit=1").json()["jobs"][0]["request"]
    assert again["init_image"] != sent["init_image"]


def test_what_the_server_refuses_is_said(page: Page, windows: Windows) -> None:
    write_prompt(page, "rocket")
    set_number(page, "Width in pixels", 8192)
    set_number(page, "Height in pixels", 8192)
    windows.expect(r"status of 422")
    generate(page)
    expect(page.get_by_role("alert").filter(has_text="pixels")).to_be_visible()
    expect(page.get_by_role("textbox", name="Prompt")).to_have_value("rocket")
