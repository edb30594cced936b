"""`ecurie pull` from a hub on loopback, and with its faults."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import DEMO_FOLDER
from tests.e2e.test_cli import run
from tests.hub import COMMIT, Hub, serving
from tests.unit.adapters import files
from tests.unit.ip_adapters import FOLDER as IP_ADAPTER

CATALOG = "defaults: {{model: mine}}\nmodels:\n  mine: {{name: Mine, source: 'hf:owner/name@{revision}'}}\n"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    folder = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "hub"))
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    (folder / "unet" / "run_me.py").write_text("raise SystemExit('remote code ran')")
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"pickle")
    with serving(folder) as hub:
        yield hub


def write_catalog(cwd: Path, revision: str = COMMIT) -> Path:
    catalog = cwd / "catalog.yaml"
    catalog.write_text(CATALOG.format(revision=revision))
    return catalog


def surroundings(hub: Hub, cwd: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(cwd / "hf"), "ECURIE_DATA_DIR": str(cwd / "data")}


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def pull(hub: Hub, cwd: Path, *, revision: str = COMMIT, model: str = "mine") -> tuple[int, str]:
    catalog = write_catalog(cwd, revision)
    ended = run("pull", model, "--catalog", str(catalog), cwd=cwd, **surroundings(hub, cwd))
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode, ended.stdout + ended.stderr


def test_a_pulled_model_draws_and_only_needed_files_were_fetched(hub: Hub, tmp_path: Path) -> None:
    status, shown = pull(hub, tmp_path)
    assert status == 0, shown
    folder = tmp_path / "data" / "models" / "hub" / f"owner--name@{COMMIT}"
    assert (folder / "unet" / "diffusion_pytorch_model.fp16.safetensors").is_file()
    assert "unet/diffusion_pytorch_model.safetensors" not in hub.served
    assert not [name for name in hub.served if name.endswith((".py", ".bin"))]
    hub.served.clear()
    assert pull(hub, tmp_path)[0] == 0
    assert hub.served == []
    arguments = ("--catalog", str(tmp_path / "catalog.yaml"), "--steps", "2", "--output", "x.png")
    assert run("generate", "red apple", *arguments, cwd=tmp_path).returncode == 0


def test_a_pull_killed_in_the_middle_never_becomes_a_model_and_is_resumed(hub: Hub, tmp_path: Path) -> None:
    hub.fault = "stuck"
    catalog = write_catalog(tmp_path)
    command = [sys.executable, "-m", "ecurie", "pull", "mine", "--catalog", str(catalog)]
    folder = tmp_path / "data" / "models" / "hub" / f"owner--name@{COMMIT}"
    environment = {**os.environ, **surroundings(hub, tmp_path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: any(file.stat().st_size for file in folder.rglob("*.safetensors.partial")))
        finally:
            process.kill()
    listed = run("models", "--catalog", str(catalog), cwd=tmp_path)
    assert "ready" not in listed.stdout
    (name,) = [file.name.removesuffix(".partial") for file in folder.rglob("*.safetensors.partial")]
    hub.fault = None
    assert pull(hub, tmp_path)[0] == 0
    assert [Path(resumed).name for resumed in hub.resumed] == [name]
    assert not list(folder.rglob("*.partial"))


@pytest.mark.parametrize(("fault", "reason"), [("gated", "accept its terms"), ("missing", "no repository")])
def test_the_hub_s_refusals_are_explained(hub: Hub, tmp_path: Path, fault: str, reason: str) -> None:
    hub.fault = fault
    status, shown = pull(hub, tmp_path)
    assert (status, reason in shown) == (4, True)


def test_an_unknown_revision_or_model_is_named(hub: Hub, tmp_path: Path) -> None:
    assert "no revision v9" in pull(hub, tmp_path, revision="v9")[1]
    assert "no model or adapter 'yours'" in pull(hub, tmp_path, model="yours")[1]


def test_no_network_is_a_clear_message(hub: Hub, tmp_path: Path) -> None:
    hub.server.shutdown()
    hub.server.server_close()
    status, shown = pull(hub, tmp_path)
    assert (status, "could not be asked" in shown) == (4, True)


def test_an_adapter_is_one_file(hub: Hub, tmp_path: Path) -> None:
    (hub.folder / "loras").mkdir()
    tensors = files.kohya_tensors(files.attention_places()[:3])
    files.save(hub.folder / "loras" / "soft.safetensors", tensors)
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        f"defaults: {{model: base}}\nmodels:\n  base: {{name: Base, source: {DEMO_FOLDER}}}\n"
        "adapters:\n  soft: {name: Soft, source: hf:owner/name/loras/soft.safetensors}\n"
    )
    options = ("--catalog", str(catalog))
    missing = run("generate", "x", "--lora", "soft", *options, cwd=tmp_path, ECURIE_DOWNLOAD="never")
    assert (missing.returncode, "run: ecurie pull soft" in missing.stderr) == (2, True)
    pulled = run("pull", "soft", *options, cwd=tmp_path, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf"))
    assert pulled.returncode == 0, pulled.stderr
    assert hub.served == ["loras/soft.safetensors"]
    assert run("generate", "x", "--steps", "1", "--lora", "soft", *options, cwd=tmp_path).returncode == 0


def test_an_ip_adapter_is_its_file_and_its_image_encoder(hub: Hub, tmp_path: Path) -> None:
    shutil.copytree(IP_ADAPTER, hub.folder / "look")
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        f"defaults: {{model: base}}\nmodels:\n  base: {{name: Base, source: {DEMO_FOLDER}}}\n"
        "ip_adapters:\n  look:\n    name: Look\n    source: hf:owner/name/look/ip-adapter_sdxl.safetensors\n"
        "    image_encoder: hf:owner/name/look/image_encoder\n"
    )
    options = ("--catalog", str(catalog))
    pulled = run("pull", "look", *options, cwd=tmp_path, **surroundings(hub, tmp_path))
    assert pulled.returncode == 0, pulled.stderr
    encoder = [f"look/image_encoder/{name}" for name in ("model.safetensors", "config.json")]
    assert hub.served == ["look/ip-adapter_sdxl.safetensors", *encoder]
    place = tmp_path / "data" / "models" / "hub" / "owner--name" / "look"
    assert pulled.stdout.strip() == f"look: {place / 'ip-adapter_sdxl.safetensors'}"
