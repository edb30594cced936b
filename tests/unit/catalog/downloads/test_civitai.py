"""Versions of Civitai, from a Civitai of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ecurie.catalog.downloads.downloader import Downloader, Publishers
from ecurie.catalog.sources import place_of, remote_of
from ecurie.errors import DownloadFailed, InvalidRequest
from tests.civitai import TOKEN, Civitai
from tests.unit.catalog.downloads.conftest import CONTENT
from tests.web import Web, running

AIR = "urn:air:sdxl:lora:civitai:77@42"


@pytest.fixture
def civitai(web: Web) -> Iterator[Civitai]:
    with running(Civitai(web)) as civitai:
        yield civitai


def downloader(civitai: Civitai, models: Path, token: str | None = None) -> Downloader:
    hosts = frozenset({civitai.host, civitai.storage.host})
    return Downloader(models, Publishers(civitai=civitai.url, civitai_token=token, plain_http=hosts))


def fetch(civitai: Civitai, models: Path, source: str = "civitai:42", token: str | None = None) -> Path:
    remote = remote_of(source)
    assert remote is not None
    downloader(civitai, models, token).fetch([remote], lambda _done, _total: None)
    return place_of(remote, models)


@pytest.mark.parametrize(
    "source", ["civitai:42", "civitai:77@42", AIR, f"{AIR}.safetensors", "civitai:42+1000", f"{AIR}+1000"]
)
def test_a_version_is_its_primary_file(civitai: Civitai, tmp_path: Path, source: str) -> None:
    civitai.publish(42, CONTENT)
    assert fetch(civitai, tmp_path, source).read_bytes() == CONTENT


def test_the_token_goes_to_civitai_alone(civitai: Civitai, tmp_path: Path) -> None:
    civitai.publish(42, CONTENT)
    civitai.needs_token = True
    fetch(civitai, tmp_path, token=TOKEN)
    assert {asked.authorization for asked in civitai.asked} == {f"Bearer {TOKEN}"}
    assert {asked.authorization for asked in civitai.storage.asked} == {None}


def test_the_token_does_not_go_to_an_address_that_civitai_s_answer_names(
    civitai: Civitai, tmp_path: Path
) -> None:
    civitai.publish(42, CONTENT, downloadUrl=f"{civitai.storage.url}/blob/42/1000")
    fetch(civitai, tmp_path, token=TOKEN)
    assert [asked.authorization for asked in civitai.storage.asked] == [None]


def test_a_missing_token_is_explained(civitai: Civitai, tmp_path: Path) -> None:
    civitai.publish(42, CONTENT)
    civitai.needs_token = True
    with pytest.raises(DownloadFailed, match="wants a sign-in") as caught:
        fetch(civitai, tmp_path)
    assert "ECURIE_CIVITAI_TOKEN" in (caught.value.remedy or "")


def test_a_version_that_is_not_there_is_named(civitai: Civitai, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="version 42 on Civitai"):
        fetch(civitai, tmp_path)


def test_another_hash_than_civitai_says_is_refused(civitai: Civitai, tmp_path: Path) -> None:
    civitai.publish(42, CONTENT, hashes={"SHA256": "0" * 64})
    with pytest.raises(DownloadFailed, match="not 0000"):
        fetch(civitai, tmp_path)
    assert list((tmp_path / "civitai").iterdir()) == []


def test_of_a_pickle_and_a_safetensors_file_the_latter_is_taken(civitai: Civitai, tmp_path: Path) -> None:
    civitai.publish(42, b"\x80\x04", "style.ckpt")
    civitai.publish(42, CONTENT, "style.safetensors")
    assert fetch(civitai, tmp_path).read_bytes() == CONTENT


def test_a_pickle_alone_is_refused_before_it_is_downloaded(civitai: Civitai, tmp_path: Path) -> None:
    civitai.publish(42, b"\x80\x04", "style.ckpt")
    with pytest.raises(InvalidRequest, match=r"style\.ckpt") as caught:
        fetch(civitai, tmp_path)
    assert "pickled" in (caught.value.remedy or "")
    assert civitai.storage.asked == []


def test_a_file_that_the_version_does_not_have_is_named(civitai: Civitai, tmp_path: Path) -> None:
    civitai.publish(42, CONTENT)
    with pytest.raises(DownloadFailed, match="no file 7"):
        fetch(civitai, tmp_path, "civitai:42+7")


@pytest.mark.parametrize("lacking", ["files", "hashes", "downloadUrl"])
def test_an_answer_without_what_is_needed_is_refused(civitai: Civitai, tmp_path: Path, lacking: str) -> None:
    civitai.publish(42, CONTENT)
    version = civitai.versions[42]
    (version if lacking in version else version["files"][0]).pop(lacking)
    with pytest.raises(DownloadFailed, match=lacking):
        fetch(civitai, tmp_path)


def test_a_busy_api_is_asked_again(civitai: Civitai, tmp_path: Path) -> None:
    civitai.publish(42, CONTENT)
    civitai.faults.extend(["429 0", "503"])
    assert fetch(civitai, tmp_path).read_bytes() == CONTENT


def test_what_civitai_tells_of_a_version_is_kept_for_a_new_entry(civitai: Civitai, tmp_path: Path) -> None:
    civitai.publish(42, CONTENT)
    remote = remote_of(AIR)
    assert remote is not None
    plan = downloader(civitai, tmp_path).plan(remote)
    assert (plan.name, plan.base) == ("Inky v1.0", "Pony")
    assert plan.trigger_words == ("inked", "bold lines", "ink")
    assert plan.files[0].bytes == len(CONTENT)


@pytest.mark.parametrize(
    "source",
    ["civitai:", "civitai:abc", "urn:air:sdxl:lora:civitai:77", "urn:air:sdxl:lora:other:7@1", f"{AIR}.ckpt"],
)
def test_what_is_no_civitai_source_is_refused(source: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot read source"):
        remote_of(source)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("https://example.org/a.safetensors", "needs the SHA-256"),
        ("https://example.org/a.safetensors#sha256=abc", "needs the SHA-256"),
        (f"https://[::1/a.safetensors#sha256={'a' * 64}", "is no address"),
        (f"https://example.org/a.ckpt#sha256={'a' * 64}", "not the address of"),
        (f"https://user:word@example.org/a.safetensors#sha256={'a' * 64}", "not the address of"),
    ],
)
def test_an_address_needs_a_hash_and_no_password(source: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        remote_of(source)
