"""What happens beside a job on an NVIDIA GPU: previews, and getting the next one ready."""

from __future__ import annotations

import io
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ecurie.adapters.parallel import go_on
from ecurie.domain import Preview, Progress
from ecurie.engine import previews as previews_module
from ecurie.engine.devices import Compute
from ecurie.engine.engine import Engine
from ecurie.engine.previews import Previews
from ecurie.engine.residency import Budgets
from ecurie.images.files import OutputFolder
from ecurie.images.storage import LocalFolder
from tests.unit.conftest import ignore, make_request
from tests.unit.engine.test_previews import likeness

PLENTY = Budgets(10**12, 10**12)
STEPS = 12


def picture_of(engine: Engine, folder: Path, seen: list[Preview] | None = None) -> np.ndarray:
    def listen(progress: Progress) -> None:
        if progress.preview is not None and seen is not None:
            seen.append(progress.preview)

    outputs = OutputFolder(LocalFolder(folder), "job", datetime.now(UTC), "picture.png")
    engine.run(make_request(steps=STEPS), outputs, listen)
    with Image.open(folder / "picture.png") as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_previews_approach_the_picture_and_leave_it_as_it_is(
    cuda: Compute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews_module, "SECONDS_BETWEEN", 0.0)
    seen: list[Preview] = []
    with_them = picture_of(Engine(cuda, PLENTY, previews=Previews()), tmp_path, seen)
    assert (with_them == picture_of(Engine(cuda, PLENTY), tmp_path)).all()
    assert len(seen) >= STEPS // 2

    small = Image.fromarray(with_them.astype(np.uint8))
    assert likeness(seen[-1], small) > 0.9
    assert likeness(seen[0], small) < likeness(seen[-1], small)


def test_getting_the_next_job_ready_changes_nothing_of_the_running_one(cuda: Compute, tmp_path: Path) -> None:
    engine = Engine(cuda, PLENTY)
    alone = picture_of(engine, tmp_path)
    following = make_request(loras=[{"name": "style-anime", "weight": 0.7}])
    outputs = OutputFolder(LocalFolder(tmp_path), "next", datetime.now(UTC), "next.png")
    Engine(cuda, PLENTY).run(following, outputs, ignore)
    expected = (tmp_path / "next.png").read_bytes()
    beside = threading.Thread(target=engine.get_ready, args=(following, go_on))
    beside.start()
    assert (picture_of(engine, tmp_path) == alone).all()
    beside.join(60)
    engine.run(following, outputs, ignore)
    with Image.open(tmp_path / "next.png") as ours, Image.open(io.BytesIO(expected)) as theirs:
        assert (np.asarray(ours) == np.asarray(theirs)).all()
