"""Links to images that need no key."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import pytest

from ecurie.access.signing import Signer, signing_secret
from ecurie.jobs.store import JobStore

NAME = "sdxl-base_20261126_120000_0123abcd.png"


def parts(signer: Signer, filename: str = NAME) -> tuple[str, str]:
    told = parse_qs(signer.query(filename))
    return told["expires"][0], told["signature"][0]


def test_a_link_holds_for_its_image_and_its_time_only(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer(b"secret", 3600)
    now = time.time()
    expires, signature = parts(signer)
    assert now + 3600 <= int(expires) <= now + 3600 * 1.25 + 1
    assert signer.is_valid(NAME, expires, signature)
    assert not signer.is_valid(NAME.replace("0123", "0124"), expires, signature)
    for later in (str(int(expires) + 1), f"{expires}0", f"0{expires}", f" {expires}", "", "inf", "9" * 5000):
        assert not signer.is_valid(NAME, later, signature)
    for forged in ("", signature[:-1], f"{signature}=", signature.swapcase(), "é", "\udcff"):
        assert not signer.is_valid(NAME, expires, forged)
    assert not Signer(b"another", 3600).is_valid(NAME, expires, signature)
    monkeypatch.setattr(time, "time", lambda: int(expires) + 0.5)
    assert not signer.is_valid(NAME, expires, signature)


def test_answers_a_moment_apart_name_the_same_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a page that asks again finds its images in the browser's cache."""
    signer = Signer(b"secret", 3600)
    queries = set()
    for second in range(0, 1800, 10):
        monkeypatch.setattr(time, "time", lambda at=second: 1_800_000_000.0 + at)
        queries.add(signer.query(NAME))
    assert len(queries) <= 3


def test_the_secret_is_that_of_the_database_whoever_asks_first(store: JobStore, database_url: str) -> None:
    other = JobStore(database_url)
    secret = signing_secret(store.database)
    assert len(secret) == 32
    assert signing_secret(other.database) == signing_secret(store.database) == secret
    other.close()
