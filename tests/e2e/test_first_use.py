"""A server whose jobs need files that are not here yet, and publishers of the test's own."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.civitai import TOKEN, Civitai
from tests.conftest import DEMO_FOLDER, Server, StartServer
from tests.e2e.test_cli import run
from tests.hub import COMMIT, Hub, serving
from tests.unit.adapters import files
from tests.web import Web, running

CATALOG = """
defaults: {{model: base}}
models:
  base: {{name: Base, source: {folder}}}
  far: {{name: Far, source: 'hf:owner/name@{commit}', default_negative: blurry, size: [64, 64]}}
  gone: {{name: Gone, source: 'hf:owner/other'}}
  lost: {{name: Lost, source: ./nowhere}}
adapters:
  soft: {{name: Soft, source: '{web}/soft.safetensors#sha256={digest}', default_weight: 0.5}}
  inky: {{name: Inky, source: 'civitai:42', trigger_words: [inked]}}
  nowhere: {{name: Nowhere, source: ./nothing.safetensors}}
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serving(Path(shutil.copytree(DEMO_FOLDER, tmp_path_factory.mktemp("hub") / "model"))) as hub:
        yield hub


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with running(Web()) as web:
        yield web


@pytest.fixture(scope="module")
def civitai(web: Web) -> Iterator[Civitai]:
    with running(Civitai(web)) as civitai:
        yield civitai


def adapter_bytes(folder: Path, number: int) -> bytes:
    file = folder / f"{number}.safetensors"
    files.save(file, files.kohya_tensors(files.attention_places()[: number + 2]))
    return file.read_bytes()


@pytest.fixture(scope="module")
def surroundings(
    hub: Hub, web: Web, civitai: Civitai, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("catalog")
    soft = adapter_bytes(folder, 1)
    web.files["/soft.safetensors"] = soft
    civitai.publish(42, adapter_bytes(folder, 2))
    civitai.needs_token = True
    digest = hashlib.sha256(soft).hexdigest()
    (folder / "catalog.yaml").write_text(
        CATALOG.format(folder=DEMO_FOLDER, commit=COMMIT, web=web.url, digest=digest)
    )
    return {
        "ECURIE_CATALOG": str(folder / "catalog.yaml"),
        "ECURIE_CIVITAI_URL": civitai.url,
        "ECURIE_CIVITAI_TOKEN": TOKEN,
        "ECURIE_PLAIN_HTTP_HOSTS": web.host,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"),
    }


@pytest.fixture(scope="module")
def server(module_servers: StartServer, surroundings: dict[str, str]) -> Server:
    return module_servers(demo=False, **surroundings)


@pytest.fixture
def empty(server: Server) -> Iterator[Server]:
    """The server without the downloads of the tests before."""
    shutil.rmtree(server.data_dir / "models", ignore_errors=True)
    return server


def test_a_model_is_downloaded_on_first_use_with_its_progress(empty: Server, hub: Hub) -> None:
    hub.seconds = 0.05
    listed = {model["id"]: model for model in empty.client.get("/models").json()["models"]}
    assert (listed["far"]["downloaded"], listed["far"]["unavailable"]) == (False, None)
    job_id = empty.submit(model="far", steps=2, seed=5)
    before = empty.job(job_id)
    assert (before["request"]["seed"], before["request"]["negative_prompt"]) == (5, "blurry")
    steps = [event for kind, event in events(empty, job_id) if kind == "step"]
    loading = [step for step in steps if step["phase"] == "downloading"]
    done = [step["bytes_done"] for step in loading]
    assert len(set(done)) > 5
    assert done == sorted(done)
    size = sum(file.stat().st_size for file in hub.folder.rglob("*") if file.is_file())
    assert loading[-1]["bytes_total"] == size
    job = empty.job(job_id)
    assert (job["state"], job["attempts"]) == ("succeeded", 1)
    assert job["result"]["images"][0]["seed"] == 5
    listed = {model["id"]: model for model in empty.client.get("/models").json()["models"]}
    assert listed["far"]["downloaded"]


def events(server: Server, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Until the stream ends."""
    found, kind = [], ""
    with server.client.stream("GET", f"/jobs/{job_id}/events") as stream:
        for line in stream.iter_lines():
            name, _, text = line.partition(": ")
            if name == "event":
                kind = text
            elif name == "data":
                found.append((kind, json.loads(text)))
    return found


def test_while_it_downloads_a_job_is_preparing_and_can_be_cancelled(empty: Server, hub: Hub) -> None:
    hub.fault = "stuck"
    try:
        job_id = empty.submit(model="far", steps=2)
        job = empty.wait_until(lambda: part_way(empty.job(job_id)), "part way")
        assert (job["state"], job["progress"]["phase"]) == ("preparing", "downloading")
        empty.client.delete(f"/jobs/{job_id}")
        # The publisher is still silent: nobody waits for it.
        assert empty.wait_for(job_id, "cancelled", "failed", "succeeded")["state"] == "cancelled"
        assert empty.wait_for(empty.submit(steps=1), "succeeded", "failed")["state"] == "succeeded"
    finally:
        hub.fault = None
        hub.freed.set()
        hub.freed = threading.Event()
    assert not list((empty.data_dir / "models").rglob("model_index.json"))


def part_way(job: dict[str, Any]) -> dict[str, Any] | None:
    return job if job["progress"].get("bytes_done") else None


def test_adapters_come_from_civitai_and_an_address_in_one_job(empty: Server, web: Web) -> None:
    web.asked.clear()
    loras = [{"name": "soft"}, {"name": "inky", "weight": 0.3}]
    answer = empty.client.post("/generate?wait=60", json={"prompt": "cat", "steps": 1, "loras": loras})
    job = answer.json()
    assert job["state"] == "succeeded", job
    shown = {lora["name"]: lora["unet"] for lora in job["request"]["loras"]}
    assert shown == {"soft": 0.5, "inky": 0.3}
    reports = {report["name"]: report for report in job["result"]["report"]["adapters"]}
    assert reports["soft"]["sha256"] == hashlib.sha256(web.files["/soft.safetensors"]).hexdigest()
    assert job["result"]["prompt"] == "cat, inked"
    assert {asked.authorization for asked in web.asked} == {None}
    again = empty.client.post("/generate?wait=60", json={"prompt": "cat", "steps": 1, "loras": loras}).json()
    assert (again["state"], len(web.asked)) == ("succeeded", 2)


def test_an_adapter_of_a_tag_is_downloaded_too(empty: Server) -> None:
    body = {"prompt": "cat <lora:soft:0.4>", "steps": 1}
    job = empty.client.post("/generate?wait=60", json=body).json()
    assert job["state"] == "succeeded", job
    assert job["request"]["prompt"] == body["prompt"]
    assert job["request"]["loras"] == []
    (report,) = job["result"]["report"]["adapters"]
    assert (report["name"], report["unet"]) == ("soft", 0.4)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "far", "loras": [{"name": "unknown"}]}, 404, "unknown-adapter"),
        ({"model": "far", "loras": [{"name": "nowhere"}]}, 409, "weights-missing"),
        ({"model": "lost"}, 409, "weights-missing"),
        ({"model": "far", "width": 8192, "height": 8192}, 422, "invalid-request"),
        ({"model": "far", "scheduler": "lcm", "steps": 60}, 422, "invalid-request"),
        ({"model": "hf:owner/name"}, 404, "unknown-model"),
        ({"loras": [{"name": "https://example.org/a.safetensors"}]}, 404, "unknown-adapter"),
    ],
)
def test_what_the_catalogue_can_tell_is_told_before_anything_is_downloaded(
    empty: Server, hub: Hub, body: dict[str, Any], status: int, code: str
) -> None:
    hub.served.clear()
    answer = empty.client.post("/generate", json={"prompt": "cat", **body})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert hub.served == []


def test_a_download_that_fails_ends_the_job_with_the_reason(empty: Server) -> None:
    job = empty.client.post("/generate?wait=60", json={"prompt": "cat", "model": "gone"}).json()
    assert (job["state"], job["error"]["code"]) == ("failed", "download-failed")
    assert "no repository owner/other" in job["error"]["message"]


def test_downloads_can_be_turned_off(
    start_server: StartServer, surroundings: dict[str, str], hub: Hub
) -> None:
    hub.served.clear()
    server = start_server(demo=False, ready=False, **surroundings, ECURIE_DOWNLOAD="never")
    server.wait_until(lambda: server.client.get("/healthz").is_success, "answering")
    answer = server.client.post("/generate", json={"prompt": "cat", "model": "far"})
    assert (answer.status_code, answer.json()["remedy"]) == (409, "run: ecurie pull far")
    assert hub.served == []


def test_the_command_line_downloads_on_first_use_too(
    surroundings: dict[str, str], tmp_path: Path, web: Web
) -> None:
    ended = run("generate", "cat", "--lora", "soft", "--steps", "1", cwd=tmp_path, **surroundings)
    assert ended.returncode == 0, ended.stderr
    assert "downloading" in ended.stderr
    assert list((tmp_path / "data" / "models" / "web").rglob("soft.safetensors"))
