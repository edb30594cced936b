"""What a user does in the page."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


def write_prompt(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Prompt").fill(text)


def set_number(page: Page, label: str, value: int | float) -> None:
    field = page.get_by_role("spinbutton", name=label)
    field.fill(str(value))
    field.blur()


def generate(page: Page) -> None:
    page.get_by_role("button", name="Generate").click()


def stage(page: Page) -> Locator:
    return page.get_by_role("region", name="Pictures made")


def result(page: Page) -> Locator:
    return stage(page).get_by_role("img", name="Picture of:")


def shown_file(page: Page) -> str:
    """Which picture the stage shows, once there is one."""
    address = result(page).get_attribute("src")
    assert address is not None
    return address


def add_adapter(page: Page, name: str) -> None:
    page.get_by_role("region", name="Adapters").get_by_role("button", name="Add").click()
    dialog = page.get_by_role("dialog", name="Add adapters")
    dialog.get_by_role("searchbox").fill(name)
    dialog.get_by_role("button", name=name).click()
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_be_hidden()
