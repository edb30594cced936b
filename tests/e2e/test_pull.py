"""`ecurie pull` from a hub on loopback, and with its faults."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import DEMO_FOLDER
from tests.e2e.test_cli import run
from tests.hub import COMMIT, Hub, serving
from tests.unit.adapters import files

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


def pull(hub: Hub, cwd: Path, *, revision: str = COMMIT, model: str = "mine") -> tuple[int, str]:
    catalog = cwd / "catalog.yaml"
    catalog.write_text(CATALOG.format(revision=revision))
    ended = run(
        "pull",
        model,
        "--catalog",
        str(catalog),
        cwd=cwd,
        HF_ENDPOINT=hub.url,
        HF_HOME=str(cwd / "hf"),
        HF_HUB_DOWNLOAD_TIMEOUT="5",
        HF_HUB_DISABLE_XET="1",
    )
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


def test_a_cut_download_never_becomes_a_model_and_is_resumed(hub: Hub, tmp_path: Path) -> None:
    hub.fault = "cut"
    status, shown = pull(hub, tmp_path)
    assert status == 2
    assert "it resumes" in shown
    listed = run("models", "--catalog", str(tmp_path / "catalog.yaml"), cwd=tmp_path)
    assert "ready" not in listed.stdout
    hub.fault = None
    assert pull(hub, tmp_path)[0] == 0


@pytest.mark.parametrize(("fault", "reason"), [("gated", "accept its terms"), ("missing", "no repository")])
def test_the_hub_s_refusals_are_explained(hub: Hub, tmp_path: Path, fault: str, reason: str) -> None:
    hub.fault = fault
    status, shown = pull(hub, tmp_path)
    assert (status, reason in shown) == (2, True)


def test_an_unknown_revision_or_model_is_named(hub: Hub, tmp_path: Path) -> None:
    assert "no revision v9" in pull(hub, tmp_path, revision="v9")[1]
    assert "no model 'yours'" in pull(hub, tmp_path, model="yours")[1]


def test_no_network_is_a_clear_message(hub: Hub, tmp_path: Path) -> None:
    hub.server.shutdown()
    hub.server.server_close()
    status, shown = pull(hub, tmp_path)
    assert (status, "could not be downloaded" in shown) == (2, True)


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
    missing = run("generate", "x", "--lora", "soft", *options, cwd=tmp_path)
    assert (missing.returncode, "run: ecurie pull soft" in missing.stderr) == (2, True)
    pulled = run("pull", "soft", *options, cwd=tmp_path, HF_ENDPOINT=hub.url, HF_HOME=str(tmp_path / "hf"))
    assert pulled.returncode == 0, pulled.stderr
    assert hub.served == ["loras/soft.safetensors"]
    assert run("generate", "x", "--steps", "1", "--lora", "soft", *options, cwd=tmp_path).returncode == 0
