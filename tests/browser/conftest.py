"""A real browser, Debian's Chromium, on the page of a real server."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)

from tests.conftest import Server
from tests.services import missing

PATIENCE_MS = 60_000
"""How long the page may take for anything, on a machine that is busy with other things."""


# Of this folder only: while it lives, its event loop runs in this process, and no other one can.
@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        missing("Chromium")
    # Its sandbox refuses to run as root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@dataclass
class Watched:
    """What a window did that no window may do: errors in its console (broken policies are there too), and
    requests to anybody but its server. `expected`: patterns of errors that a test brings about."""

    server: str
    faults: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.text} ({message.location.get('url', '')})")

    def request(self, request: Request) -> None:
        place = urlsplit(request.url)
        if place.scheme not in ("data", "blob") and f"{place.scheme}://{place.netloc}" != self.server:
            self.faults.append(f"a request to {request.url}")

    def check(self) -> None:
        found = [fault for fault in self.faults if not any(re.search(one, fault) for one in self.expected)]
        assert not found, "\n".join(found)


class Windows:
    """Opens windows, each with a memory of its own (as another person's browser) unless one is given."""

    def __init__(self, browser: Browser, server: Server):
        self._browser, self._server = browser, server
        self.watched: list[Watched] = []
        self._contexts: list[BrowserContext] = []

    def open(
        self, path: str = "/", *, context: BrowserContext | None = None, url: str = "", **options: Any
    ) -> Page:
        """`path` such as `/#/queue`; options are those of a browser context: viewport, locale, …"""
        server = url or self._server.url
        if context is None:
            context = self._browser.new_context(**{"locale": "en-GB", **options})
            context.set_default_timeout(PATIENCE_MS)
            self._contexts.append(context)
        page = context.new_page()
        watched = Watched(server)
        self.watched.append(watched)
        page.on("console", watched.console)
        page.on("pageerror", lambda error: watched.faults.append(str(error)))
        page.on("request", watched.request)
        page.goto(server + path)
        page.get_by_role("main").wait_for()
        return page

    def expect(self, *patterns: str) -> None:
        """Errors that the newest window will have in its console, and may."""
        self.watched[-1].expected += patterns

    def close(self) -> None:
        for context in self._contexts:
            context.close()


@pytest.fixture
def windows(chromium: Browser, server: Server) -> Iterator[Windows]:
    """Fails the test whose windows broke a rule."""
    opened = Windows(chromium, server)
    try:
        yield opened
        for watched in opened.watched:
            watched.check()
    finally:
        opened.close()


@pytest.fixture
def page(windows: Windows) -> Page:
    """A window at the page, 1280 by 720, in English."""
    return windows.open()
