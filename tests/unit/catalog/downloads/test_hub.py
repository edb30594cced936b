"""Which files of a repository a model needs, from a hub of the test's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecurie.catalog.downloads.downloader import Downloader, Publishers
from ecurie.catalog.sources import (
    hub_folder,
    is_here,
    locate_file,
    locate_folder,
    parse_hub_source,
    remote_folder_of,
    remote_of,
)
from ecurie.errors import DownloadFailed
from ecurie.formats.checkpoint import ModelFiles, read_checkpoint
from tests.conftest import DEMO_FOLDER
from tests.hub import COMMIT, Hub, serving
from tests.unit.catalog.downloads.conftest import CONTENT


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    (tmp_path / "hub").mkdir()
    with serving(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def desk(hub: Hub, tmp_path: Path) -> Downloader:
    host = hub.url.removeprefix("http://")
    return Downloader(tmp_path, Publishers("https://unused", hub=hub.url, plain_http=frozenset({host})))


def fetch(desk: Downloader, source: str) -> list[tuple[int, int | None]]:
    told: list[tuple[int, int | None]] = []
    desk.fetch([parse_hub_source(source)], lambda done, total: told.append((done, total)))
    return told


def test_a_folder_s_index_comes_last_and_progress_counts_all_files(
    hub: Hub, desk: Downloader, tmp_path: Path
) -> None:
    shutil.copytree(DEMO_FOLDER, hub.folder, dirs_exist_ok=True)
    told = fetch(desk, f"hf:owner/name@{COMMIT}")
    folder = hub_folder(tmp_path, parse_hub_source(f"hf:owner/name@{COMMIT}"))
    assert read_checkpoint(ModelFiles(folder)).size == (64, 64)
    assert hub.served[-1] == "model_index.json"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert told[-1] == (size, size)
    done = [bytes_done for bytes_done, _ in told]
    assert done == sorted(done)


def test_a_folder_is_not_here_until_its_index_is(hub: Hub, desk: Downloader, tmp_path: Path) -> None:
    shutil.copytree(DEMO_FOLDER, hub.folder, dirs_exist_ok=True)
    weights = hub.folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    source = parse_hub_source("hf:owner/name")
    with pytest.raises(Exception, match="too short"):
        fetch(desk, "hf:owner/name")
    assert not is_here(source, tmp_path)


def test_a_component_alone_is_its_configuration_and_weights(
    hub: Hub, desk: Downloader, tmp_path: Path
) -> None:
    (hub.folder / "config.json").write_text("{}")
    (hub.folder / "diffusion_pytorch_model.safetensors").write_bytes(CONTENT)
    (hub.folder / "other_name.safetensors").write_bytes(CONTENT)
    fetch(desk, "hf:owner/name")
    assert hub.served == ["diffusion_pytorch_model.safetensors", "config.json"]
    assert is_here(parse_hub_source("hf:owner/name"), tmp_path)


def test_a_component_in_a_folder_of_a_repository(hub: Hub, desk: Downloader, tmp_path: Path) -> None:
    source = remote_folder_of("hf:owner/name/models/image_encoder")
    assert source is not None
    with pytest.raises(DownloadFailed, match="has no models/image_encoder"):
        desk.fetch([source], lambda _done, _total: None)
    folder = hub.folder / "models" / "image_encoder"
    folder.mkdir(parents=True)
    for name in ("config.json", "pytorch_model.bin"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(CONTENT)
    desk.fetch([source], lambda _done, _total: None)
    assert [Path(name).name for name in hub.served] == ["model.safetensors", "config.json"]
    assert is_here(source, tmp_path)
    text = "hf:owner/name/models/image_encoder"
    place = locate_folder(text, what="it", entry_id="x", base=tmp_path, models_dir=tmp_path)
    assert (place / "model.safetensors").read_bytes() == CONTENT
    plan = desk.plan(source, pin=True)
    assert plan.source == f"hf:owner/name@{COMMIT}/models/image_encoder"


@pytest.mark.parametrize("file", ["v6.safetensors", "deep/er/my style (v1).safetensors"])
def test_a_single_file_of_a_repository(hub: Hub, desk: Downloader, tmp_path: Path, file: str) -> None:
    (hub.folder / file).parent.mkdir(parents=True, exist_ok=True)
    (hub.folder / file).write_bytes(CONTENT)
    fetch(desk, f"hf:owner/name@{COMMIT}/{file}")
    assert (tmp_path / "hub" / f"owner--name@{COMMIT}" / file).read_bytes() == CONTENT


def test_a_file_that_is_not_there_is_said_with_those_that_are(hub: Hub, desk: Downloader) -> None:
    (hub.folder / "v6.safetensors").write_bytes(CONTENT)
    with pytest.raises(DownloadFailed, match=r"has no v7\.safetensors") as caught:
        fetch(desk, "hf:owner/name/v7.safetensors")
    assert caught.value.remedy == "it has: v6.safetensors"


@pytest.mark.parametrize("name", ["my style.safetensors", "adapter_model.safetensors"])
def test_an_adapter_s_repository_is_its_only_file(
    hub: Hub, desk: Downloader, tmp_path: Path, name: str
) -> None:
    """PEFT's file comes with its configuration; another trainer's does not need it."""
    (hub.folder / name).write_bytes(CONTENT)
    (hub.folder / "adapter_config.json").write_text("{}")
    source = remote_of("hf:owner/name", adapter=True)
    assert source is not None
    desk.fetch([source], lambda _done, _total: None)
    place = locate_file("hf:owner/name", entry_id="x", base=tmp_path, models_dir=tmp_path)
    assert place.read_bytes() == CONTENT
    peft = name == "adapter_model.safetensors"
    assert hub.served == (["adapter_config.json", name] if peft else [name])
    assert place.with_name("adapter_config.json").exists() is peft


def test_pinning_names_the_commit_and_the_only_file(hub: Hub, desk: Downloader) -> None:
    (hub.folder / "v6.safetensors").write_bytes(CONTENT)
    plan = desk.plan(parse_hub_source("hf:owner/name"), pin=True)
    assert plan.source == f"hf:owner/name@{COMMIT}/v6.safetensors"
    (hub.folder / "v7.safetensors").write_bytes(CONTENT)
    with pytest.raises(DownloadFailed, match="which one") as caught:
        desk.plan(parse_hub_source("hf:owner/name"), pin=True)
    assert "v6.safetensors, v7.safetensors" in (caught.value.remedy or "")


def test_offline_mode_is_named(hub: Hub, desk: Downloader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadFailed, match="offline mode") as caught:
        fetch(desk, "hf:owner/name")
    assert caught.value.remedy == "unset HF_HUB_OFFLINE"


@pytest.mark.parametrize("text", ["hf:a/b/../../x.safetensors", "hf:a/b/c/../x.safetensors"])
def test_a_source_cannot_lead_out_of_its_folder(text: str) -> None:
    with pytest.raises(Exception, match="cannot read source"):
        parse_hub_source(text)
