"""Rings as messages: what they may hold, and a broker that is away."""

from __future__ import annotations

import time

import pytest

from ecurie.jobs.celery_bell import CeleryBell, make_app
from ecurie.jobs.doorbell import Ring
from ecurie.jobs.redis_version import is_holed
from tests.conftest import free_port


@pytest.mark.parametrize("url", ["redis://localhost/0", "amqp://localhost//"])
def test_nothing_but_json_is_sent_or_read(url: str) -> None:
    conf = make_app(url).conf
    assert (conf.accept_content, conf.task_serializer, conf.result_accept_content) == (
        ["json"],
        "json",
        ["json"],
    )
    assert (conf.task_acks_late, conf.worker_prefetch_multiplier, conf.task_ignore_result) == (True, 1, True)
    assert conf.worker_cancel_long_running_tasks_on_connection_loss is False
    assert conf.result_backend is None


@pytest.mark.parametrize("scheme", ["redis", "amqp"])
def test_a_broker_that_is_away_holds_nobody_up_and_hides_its_password(
    scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    bell = CeleryBell(f"{scheme}://someone:hunter2@127.0.0.1:{free_port()}/0")
    began = time.monotonic()
    bell.ring(Ring(str(number), "sdxl-base") for number in range(20_000))
    assert time.monotonic() - began < 2
    deadline = time.monotonic() + 30
    while "the broker cannot be reached" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.02)
    bell.close()
    assert "the broker cannot be reached" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("version", "holed"),
    [
        ("6.2.19", True),
        ("6.2.20", False),
        ("7.0.15", True),
        ("7.2.10", True),
        ("7.2.11", False),
        ("7.4.5", True),
        ("8.0.4", False),
        ("8.2.1", True),
        ("8.2.2", False),
        ("8.4", False),
        ("9.0.0", False),
        ("5.0.7", True),
    ],
)
def test_redis_servers_with_the_hole_are_told_by_their_version(version: str, holed: bool) -> None:
    assert is_holed(version) is holed
