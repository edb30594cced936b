"""`ecurie add`: what people have or find becomes an entry of their catalogue."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save

from tests.civitai import Civitai
from tests.conftest import DEMO_FOLDER
from tests.e2e.test_cli import run
from tests.hub import COMMIT, serving
from tests.unit.adapters import files
from tests.web import Web, running

ADAPTERS = DEMO_FOLDER.parent / "adapters"


def checkpoint(**metadata: str) -> bytes:
    """An SDXL checkpoint by its names and shapes, in small."""
    cross = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight"
    tensors = {
        cross: torch.zeros(8, 2048),
        "model.diffusion_model.label_emb.0.0.weight": torch.zeros(4, 4),
        "first_stage_model.decoder.conv_in.weight": torch.zeros(4, 4, 3, 3),
        "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight": torch.zeros(4),
    }
    return save(tensors, metadata)


def entries(cwd: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((cwd / "data" / "ecurie.yaml").read_text())
    return content["models"] | content["adapters"]


def add(cwd: Path, *arguments: str, status: int = 0, **environment: str) -> str:
    ended = run("add", *arguments, cwd=cwd, **environment)
    assert ended.returncode == status, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr if status else ended.stdout


def test_an_adapter_file_is_told_and_its_entry_used(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    metadata = {"modelspec.title": "Ink Wash: #2", "modelspec.trigger_phrase": "ink wash, brush"}
    file = tmp_path / "data" / "Ink Wash (v2).safetensors"
    files.save(file, files.kohya_tensors(files.attention_places()), metadata)
    shown = add(tmp_path, str(file))
    assert shown.startswith("ink-wash-v2: a LoRA or LyCORIS adapter for SDXL")
    assert entries(tmp_path)["ink-wash-v2"] == {
        "name": "Ink Wash: #2",
        "source": "./Ink Wash (v2).safetensors",
        "kind": "lora",
        "trigger_words": ["ink wash", "brush"],
    }
    assert "# The catalogue that a new data folder" in (tmp_path / "data" / "ecurie.yaml").read_text()
    told = json.loads(run("inspect", "ink-wash-v2", "--json", cwd=tmp_path).stdout)
    assert told["triggers"] == {"words": ["ink wash", "brush"], "source": "catalogue"}


def test_a_lycoris_file_is_told_from_a_lora(tmp_path: Path) -> None:
    add(tmp_path, str(ADAPTERS / "cyberpunk-style.safetensors"), "--id", "neon", "--name", "Neon")
    entry = entries(tmp_path)["neon"]
    assert (entry["name"], entry["kind"]) == ("Neon", "lycoris")
    assert entry["source"] == str(ADAPTERS / "cyberpunk-style.safetensors")


def test_a_diffusers_folder_and_a_checkpoint_become_models(tmp_path: Path) -> None:
    add(tmp_path, str(DEMO_FOLDER), "--id", "tiny")
    assert entries(tmp_path)["tiny"] == {"name": "sdxl-base", "source": str(DEMO_FOLDER), "size": [64, 64]}
    ended = run("generate", "cat", "--model", "tiny", "--steps", "1", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (tmp_path / "Mix.safetensors").write_bytes(checkpoint(**{"modelspec.resolution": "832x1216"}))
    shown = add(tmp_path, "Mix.safetensors")
    assert "mix: a checkpoint for SDXL" in shown
    assert "it lacks: second text encoder" in shown
    assert entries(tmp_path)["mix"]["size"] == [832, 1216]


PICKLE = b"PK\x03\x04" + b"\0" * 200
SD15_KEY = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
SD15 = save({SD15_KEY: torch.zeros(8, 768)})
EMPTY = struct.pack("<Q", 2) + b"{}"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.ckpt", PICKLE, "pickled"),
        ("a.safetensors", PICKLE, "pickled"),
        ("a.safetensors", SD15, "Stable Diffusion 1.5"),
        ("a.safetensors", EMPTY, "of a kind that is not known here"),
        ("a.safetensors", save({"decoder.up.0.weight": torch.zeros(2)}), "a VAE"),
        ("a.safetensors", checkpoint()[:-4], "too short"),
    ],
)
def test_what_cannot_be_used_is_refused_and_the_catalogue_stays(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert reason in add(tmp_path, name, status=2)
    assert "a" not in entries(tmp_path)


def test_a_missing_file_a_taken_id_and_a_second_time_are_named(tmp_path: Path) -> None:
    assert "there is nothing at" in add(tmp_path, "nowhere.safetensors", status=2)
    assert "has an entry 'sdxl-base' already" in add(
        tmp_path, str(DEMO_FOLDER), "--id", "sdxl-base", status=2
    )
    add(tmp_path, str(DEMO_FOLDER), "--id", "tiny")
    assert "already, as 'tiny'" in add(tmp_path, str(DEMO_FOLDER), "--id", "other", status=2)
    assert "bundled" in add(tmp_path, str(DEMO_FOLDER), status=3, ECURIE_DEMO="1")


@pytest.fixture
def civitai(tmp_path: Path) -> Iterator[Civitai]:
    with running(Web()) as storage, running(Civitai(storage)) as civitai:
        yield civitai


def test_a_version_of_civitai_is_downloaded_and_named_as_there(tmp_path: Path, civitai: Civitai) -> None:
    file = tmp_path / "x.safetensors"
    files.save(file, files.kohya_tensors(files.attention_places()))
    civitai.publish(42, file.read_bytes())
    surroundings = {"ECURIE_CIVITAI_URL": civitai.url, "ECURIE_PLAIN_HTTP_HOSTS": civitai.storage.host}
    add(tmp_path, "https://civitai.com/models/7/inky?modelVersionId=42", **surroundings)
    assert entries(tmp_path)["inky-v1-0"] == {
        "name": "Inky v1.0",
        "source": "civitai:42",
        "kind": "lora",
        "trigger_words": ["inked", "bold lines", "ink"],
        "lineage": "Pony",
    }
    assert (tmp_path / "data" / "models" / "civitai" / "42.safetensors").is_file()


def test_a_repository_of_the_hub_is_pinned_and_an_address_keeps_its_hash(
    tmp_path: Path, civitai: Civitai
) -> None:
    folder = Path(shutil.copytree(DEMO_FOLDER, tmp_path / "hub"))
    with serving(folder) as hub:
        surroundings = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf")}
        add(tmp_path, "https://huggingface.co/owner/name", "--id", "far", **surroundings)
    assert entries(tmp_path)["far"]["source"] == f"hf:owner/name@{COMMIT}"
    content = checkpoint()
    civitai.storage.files["/Mix.safetensors"] = content
    source = f"{civitai.storage.url}/Mix.safetensors#sha256={hashlib.sha256(content).hexdigest()}"
    add(tmp_path, source, ECURIE_PLAIN_HTTP_HOSTS=civitai.storage.host)
    assert entries(tmp_path)["mix"] == {"name": "Mix", "source": source, "size": [1024, 1024]}
    assert "needs the SHA-256" in add(tmp_path, source.partition("#")[0], status=2)
