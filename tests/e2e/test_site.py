"""The documentation site, built as `make site` does, and read as a browser would without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
COMMAND = ["-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", "."]


class Page(HTMLParser):
    """What a page loads, where it leads, and what can be pointed at in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attributes}
        self.ids.add(told.get("id", ""))
        if tag == "a":
            self.leads.append(told.get("href", ""))
        else:
            self.loads += [told[name] for name in ("src", "href", "srcset", "data") if name in told]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    arguments = [*COMMAND, "-d", str(folder / "doctrees"), str(folder / "html")]
    built = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=170, check=False
    )
    assert built.returncode == 0, built.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file.read_text()) for file in site.rglob("*.html")}


def test_make_builds_the_site_by_this_very_command() -> None:
    shown = subprocess.run(["make", "-n", "site"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert " ".join(COMMAND) in shown.stdout


def test_every_page_is_in_the_index(site: Path, pages: dict[Path, Page]) -> None:
    index = pages[site / "docs" / "index.html"]
    expected = {file.stem for file in (ROOT / "docs").glob("*.md")} - {"index"}
    assert expected <= {link.removesuffix(".html") for link in index.leads}
    assert "docs/index.html" in pages[site / "index.html"].leads


def test_nothing_comes_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for file, page in pages.items():
        assert [place for place in page.loads if urlsplit(place).netloc] == [], file
    for style in site.rglob("*.css"):
        called = re.findall(r"(?:@import|url\()\s*[\"']?([^\"')]+)", style.read_text())
        assert [place for place in called if urlsplit(place).netloc] == [], style


def test_every_link_leads_to_a_place_that_is_there(pages: dict[Path, Page]) -> None:
    for file, page in pages.items():
        for link in page.leads:
            address = urlsplit(link)
            if address.scheme or not link.strip("#"):
                continue
            place = (file.parent / unquote(address.path)).resolve() if address.path else file
            assert place.is_file(), f"{file}: {link}"
            if address.fragment and place in pages:
                assert unquote(address.fragment) in pages[place].ids, f"{file}: {link}"


def test_the_search_knows_a_route_and_a_question(site: Path) -> None:
    index = (site / "searchindex.js").read_text()
    assert "docs/routes/generate" in index
    assert "docs/faq" in index
