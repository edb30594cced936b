"""`GET /loras/{id}`: what an adapter's file tells."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ecurie.api.app import create_app
from ecurie.catalog.catalog import BUILTIN, Catalog
from ecurie.jobs.forecasts import Forecasts
from ecurie.jobs.store import JobStore
from tests.conftest import DEMO_FOLDER
from tests.unit.adapters import files
from tests.unit.api.serving import make_service

DEMO_ADAPTER = DEMO_FOLDER.parent / "adapters" / "ink-sketch.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models" / "adapters"
    made.mkdir(parents=True)
    return made


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    store = JobStore(f"sqlite:///{tmp_path / 'jobs.db'}")
    catalog = Catalog(BUILTIN["demo"], tmp_path / "models")
    service = make_service(catalog, store, tmp_path)
    app = create_app(
        service,
        lambda: False,
        Forecasts(service.store.database, list, 60),
        allowed_hosts=(),
        allowed_origins=(),
        api_key=None,
        max_body_bytes=20_000,
        max_upload_bytes=1000,
    )
    with TestClient(app, base_url="http://localhost:8009", raise_server_exceptions=False) as made:
        yield made
    store.close()


def test_an_adapter_is_told_from_its_file(client: TestClient) -> None:
    answer = client.get("/loras/cyberpunk-style")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["id"], told["file"]) == ("cyberpunk-style", "cyberpunk-style.safetensors")
    assert told["algorithms"] == {"LoKr": told["modules"]}
    assert told["check"] == {"model": "sdxl-base", "fits": True, "reason": None, "remedy": None}
    assert (told["trigger_words"], told["triggers_from"]) == (["cyberpunk", "neon"], "catalogue")
    assert sum(told["blocks"]["unet"].values()) == told["modules"]
    assert told["metadata"]["ss_base_model_version"] == "sdxl_base_v1-0"
    assert told["auto_v2"] == told["sha256"][:10]
    listed = {lora["id"] for lora in client.get("/loras").json()["loras"]}
    assert told["id"] in listed


def test_an_adapter_that_does_not_fit_is_told_all_the_same(client: TestClient, folder: Path) -> None:
    tensors = files.kohya_tensors(files.attention_places()[:1])
    renamed = {key.replace("lora_unet_", "lora_unet_no_"): tensor for key, tensor in tensors.items()}
    written = {"ss_tag_frequency": '{"set": {"mira": 3}}', "odd": "\u0007"}
    files.save(folder / "other.safetensors", renamed, written)
    told = client.get("/loras/other").json()
    assert told["check"]["fits"] is False
    assert "fit no module" in told["check"]["reason"]
    assert (told["trigger_words"], told["triggers_from"]) == ([], "")
    assert told["trigger_candidates"] == [{"text": "mira", "source": "ss_tag_frequency", "score": 1.0}]
    assert told["metadata"]["odd"] == "\u0007"


def test_an_unknown_adapter_is_404(client: TestClient) -> None:
    answer = client.get("/loras/nope")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-adapter")
    assert "style-anime" in answer.json()["remedy"]


def test_a_damaged_file_is_422_and_hides_no_other(client: TestClient, folder: Path) -> None:
    (folder / "cut.safetensors").write_bytes(DEMO_ADAPTER.read_bytes()[:-5])
    shutil.copyfile(DEMO_ADAPTER, folder / "whole.safetensors")
    answer = client.get("/loras/cut")
    assert (answer.status_code, answer.json()["code"]) == (422, "weights-invalid")
    assert "5 bytes too short" in answer.json()["detail"]
    assert client.get("/loras/whole").status_code == 200


def test_a_file_that_is_gone_is_409(client: TestClient, folder: Path) -> None:
    (folder / "gone.safetensors").symlink_to(folder / "nothing.safetensors")
    answer = client.get("/loras/gone")
    assert (answer.status_code, answer.json()["code"]) == (409, "weights-missing")


@pytest.mark.parametrize("text", ["\\ud800", "\\udfff\\ud800", "\\u0000"])
def test_any_metadata_can_be_sent(client: TestClient, folder: Path, text: str) -> None:
    """JSON can spell halves of surrogate pairs, which UTF-8 cannot."""
    content = DEMO_ADAPTER.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = {"modelspec.title": "TEXT", "ss_sd_model_name": "TEXT"}
    written = json.dumps(header).replace("TEXT", text).encode()
    data = len(written).to_bytes(8, "little") + written + content[8 + length :]
    (folder / "odd.safetensors").write_bytes(data)
    assert client.get("/loras/odd").status_code == 200
