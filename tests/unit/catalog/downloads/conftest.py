from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from ecurie.catalog.downloads.downloader import Downloader, Publishers
from ecurie.catalog.downloads.transfer import partial_of
from ecurie.catalog.sources import WebSource, place_of
from tests.web import Web, running

CONTENT = save({"weight": torch.arange(75_000, dtype=torch.float32)})


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ecurie.catalog.downloads.patience.FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def web() -> Iterator[Web]:
    with running(Web()) as web:
        web.files["/style.safetensors"] = CONTENT
        yield web


@dataclass
class Desk:
    """A downloader of the test's own file server, and what it told."""

    web: Web
    models: Path
    source: WebSource
    told: list[tuple[int, int | None]] = field(default_factory=list)

    @property
    def downloader(self) -> Downloader:
        publishers = Publishers(civitai="https://unused", plain_http=frozenset({self.web.host}))
        return Downloader(self.models, publishers)

    @property
    def place(self) -> Path:
        return place_of(self.source, self.models)

    @property
    def partial(self) -> Path:
        return partial_of(self.place)

    def fetch(self) -> None:
        self.downloader.fetch([self.source], self.listen)

    def listen(self, done: int, total: int | None) -> None:
        self.told.append((done, total))


@pytest.fixture
def desk(web: Web, tmp_path: Path) -> Desk:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Desk(web, tmp_path / "models", WebSource(f"{web.url}/style.safetensors", digest))
