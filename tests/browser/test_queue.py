"""The queue in the page: what waits, in which order, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Windows
from tests.browser.doing import generate, set_number, write_prompt
from tests.conftest import Server

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "start.png"


@pytest.fixture
def busy(server: Server) -> Iterator[str]:
    """A job that runs for as long as a test needs others to wait."""
    job_id = server.submit(prompt="sun with face", steps=150, num_images=16)
    server.wait_for(job_id, "running")
    yield job_id
    server.client.delete(f"/jobs/{job_id}")
    server.wait_for(job_id, "cancelled", "succeeded")


def test_waiting_jobs_change_places_and_leave(page: Page, server: Server, busy: str) -> None:
    first, second = server.submit(prompt="first", steps=1), server.submit(prompt="second", steps=1)
    page.get_by_role("link", name="Queue").click()
    running = page.get_by_role("region", name="Being drawn")
    expect(running).to_contain_text("sun with face")
    expect(running.get_by_role("img", name="What is drawn so far")).to_be_visible()
    expect(running.get_by_role("progressbar")).to_have_attribute("aria-valuemax", "100")
    waiting = page.get_by_role("region", name="Waiting").get_by_role("listitem")
    expect(waiting).to_have_count(2)
    expect(waiting.nth(0)).to_contain_text("first")
    waiting.nth(1).get_by_text("High").click()
    expect(waiting.nth(0)).to_contain_text("second")
    assert server.job(second)["priority"] == "interactive"
    page.get_by_role("button", name="Cancel: first").click()
    expect(waiting).to_have_count(1)
    assert server.job(first)["state"] == "cancelled"
    page.get_by_role("button", name="Cancel: second").click()
    page.get_by_role("button", name="Cancel: sun with face").click()
    ended = page.get_by_role("region", name="Ended").get_by_role("listitem")
    expect(ended.filter(has_text="sun with face").first).to_contain_text("Cancelled")
    assert server.job(busy)["state"] == "cancelled"


def test_a_failed_job_says_why_and_what_to_do(windows: Windows, server: Server, busy: str) -> None:
    """Its picture is removed while it waits."""
    kept = server.client.post("/images", content=PICTURE.read_bytes(), headers={"content-type": "image/png"})
    failing = server.submit(prompt="from a picture", init_image=kept.json()["id"], steps=2)
    server.client.delete(f"/images/{kept.json()['id']}")
    server.client.delete(f"/jobs/{busy}")
    error = server.wait_for(failing, "failed")["error"]
    page = windows.open("/#/queue")
    row = page.get_by_role("region", name="Ended").get_by_role("listitem").filter(has_text="from a picture")
    expect(row.first).to_contain_text(error["message"])
    expect(row.first).to_contain_text(error["remedy"])


def test_the_jobs_of_a_window_are_told_from_others(page: Page, server: Server, busy: str) -> None:
    server.submit(prompt="somebody's", steps=1)
    write_prompt(page, "mine")
    set_number(page, "Steps", 1)
    generate(page)
    expect(page.get_by_role("progressbar", name="Progress")).to_be_visible()
    page.get_by_role("link", name="Queue").click()
    waiting = page.get_by_role("region", name="Waiting").get_by_role("listitem")
    expect(waiting).to_have_count(2)
    expect(waiting.filter(has_text="yours")).to_contain_text("mine")
    page.get_by_text("This window’s").click()
    expect(waiting).to_have_count(1)
