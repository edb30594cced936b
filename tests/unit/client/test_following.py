from __future__ import annotations

import base64
import json
from typing import Any

import httpx2
import pytest

from ecurie.client import Progress, Unreachable
from ecurie.client.following import Follower

QUEUED: Any = {
    "id": "1",
    "state": "queued",
    "queue_position": 2,
    "estimated_start": None,
    "preview": None,
    "progress": {"phase": "queued", "step": 0, "total": 4},
}
RUNNING = QUEUED | {"state": "running", "queue_position": None}


def event(name: str, data: Any) -> httpx2.ServerSentEvent:
    return httpx2.ServerSentEvent(event=name, data=json.dumps(data))


def test_news_add_up_to_how_far_the_job_is() -> None:
    follower = Follower(QUEUED)
    picture = "data:image/webp;base64," + base64.b64encode(b"webp").decode()
    told = [
        follower.hear(event("queue", {"position": 1, "estimated_start": "2026-11-26T12:00:00Z"})),
        follower.hear(event("state", RUNNING)),
        follower.hear(event("step", {"phase": "downloading", "step": 0, "total": 4, "bytes_done": 5})),
        follower.hear(event("step", {"phase": "denoising", "step": 3, "total": 4})),
        follower.hear(event("preview", {"step": 3, "image": picture})),
    ]
    moment = "2026-11-26T12:00:00Z"
    assert told == [
        Progress("queue", "queued", total=4, queue_position=1, estimated_start=moment),
        Progress("state", "running", total=4),
        Progress("step", "running", "downloading", 0, 4, 5),
        Progress("step", "running", "denoising", 3, 4),
        Progress("preview", "running", "denoising", 3, 4, preview=b"webp"),
    ]
    assert follower.hear(event("of-a-newer-server", {})) is None
    assert not follower.ended
    follower.hear(event("state", RUNNING | {"state": "failed"}))
    assert follower.ended


def test_a_lost_server_is_told_and_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = Follower(RUNNING)
    assert follower.lose(Unreachable("gone")).news == "lost"
    follower.hear(event("state", RUNNING))
    monkeypatch.setattr("ecurie.client.following.PATIENCE_SECONDS", -1)
    with pytest.raises(Unreachable, match="gone"):
        follower.lose(Unreachable("gone"))
