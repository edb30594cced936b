from __future__ import annotations

import asyncio
import base64
import io
from typing import Any

import pytest
from PIL import Image

from ecurie.client import Progress
from ecurie.mcp.showing import SHOWN_BYTES, SHOWN_SIDE, Telling, shown
from tests.unit.images.pictures import plain, saved


def noise(side: int) -> bytes:
    return saved(Image.effect_noise((side, side), 90).convert("RGB"))


def test_a_small_picture_is_shown_as_it_is() -> None:
    content = saved(plain(64, 80))
    told = shown(content)
    assert (base64.b64decode(told.data), told.mime_type) == (content, "image/png")


@pytest.mark.parametrize(
    ("content", "share"), [(saved(plain(2048, 1024)), 1), (noise(600), 1), (noise(250), 4)]
)
def test_a_large_one_is_shown_smaller(content: bytes, share: int) -> None:
    told = shown(content, share)
    assert told.mime_type == "image/webp"
    smaller = base64.b64decode(told.data)
    assert len(smaller) < SHOWN_BYTES // share
    with Image.open(io.BytesIO(smaller)) as picture, Image.open(io.BytesIO(content)) as whole:
        assert max(picture.size) == min(SHOWN_SIDE, max(whole.size))
        assert picture.width * whole.height == picture.height * whole.width


def test_progress_only_grows_and_is_said_once() -> None:
    """As the protocol demands, also where the place in the queue or the phase is the news."""
    reported: list[tuple[float, float | None, str]] = []

    class Context:
        async def report_progress(self, progress: float, total: float | None, message: str) -> None:
            reported.append((progress, total, message))

    context: Any = Context()
    telling = Telling(context)
    for progress in (
        Progress("queue", "queued", total=4, queue_position=2),
        Progress("queue", "queued", total=4, queue_position=1),
        Progress("queue", "queued", total=4, queue_position=1, estimated_start="2026-11-26T12:00:00Z"),
        Progress("step", "running", "encoding prompt", 0, 4),
        Progress("step", "running", "denoising", 2, 4),
        Progress("preview", "running", "denoising", 2, 4, preview=b"webp"),
        Progress("lost", "running", "denoising", 2, 4),
        Progress("step", "running", "denoising", 1, 4),
        Progress("step", "running", "decoding", 4, 4),
        Progress("state", "succeeded", "done", 4, 4),
    ):
        asyncio.run(telling.tell(progress))
    assert [message for _, _, message in reported] == [
        "queued, number 2",
        "queued, number 1",
        "encoding prompt",
        "denoising, step 2 of 4",
        "the server does not answer, trying again",
        "denoising, step 1 of 4",
        "decoding, step 4 of 4",
    ]
    amounts = [progress for progress, _, _ in reported]
    assert amounts == sorted(set(amounts))
    assert max(amounts) == 4
