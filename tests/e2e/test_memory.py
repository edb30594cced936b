"""What a server keeps in memory, as its users see it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import DEMO_FOLDER, Server, StartServer, free_port


def test_preloaded_models_are_resident_before_the_first_request(
    start_server: StartServer, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    shutil.copytree(DEMO_FOLDER, data_dir / "models" / "checkpoints" / "mine")
    server = start_server("--preload", "sdxl-base,mine", "--ram-budget", "4GB", data_dir=data_dir)
    (worker,) = server.client.get("/system").json()["workers"]
    assert [model["id"] for model in worker["models"]] == ["mine", "sdxl-base"]
    assert (worker["ram_budget"], worker["vram_budget"]) == (4_000_000_000, 0)
    loras = [{"name": "style-anime", "weight": 0.5}]
    job = server.wait_for(server.submit(steps=2, loras=loras), "succeeded")
    assert job["result"]["report"]["memory_step"] == "all-resident"
    assert job["result"]["report"]["warnings"] == []
    assert job["result"]["timings"]["switch"] < 1

    def idle() -> bool:
        return not any(
            model["in_use"] for model in server.client.get("/system").json()["workers"][0]["models"]
        )

    server.wait_until(idle, "idle")
    model = server.client.get("/system").json()["workers"][0]["models"][0]
    assert model.pop("last_used") >= job["started_at"][:19]
    assert model.pop("weights") == model.pop("ram") > 0
    assert model == {
        "id": "sdxl-base",
        "vram": 0,
        "in_use": False,
        "adapters": ["style-anime (unet 0.5, text encoders 0.5)"],
    }


def test_a_model_is_in_use_while_its_job_runs(server: Server) -> None:
    job_id = server.submit(steps=150, num_images=16)

    def used() -> bool:
        models = server.client.get("/system").json()["workers"][0]["models"]
        return [model["id"] for model in models if model["in_use"]] == ["sdxl-base"]

    server.wait_until(used, "using the model")
    server.client.delete(f"/jobs/{job_id}")
    server.wait_until(lambda: not used(), "done with it")


@pytest.mark.parametrize(("wanted", "said"), [("nope", "no model 'nope'"), ("sdxl-base,no", "no model 'no'")])
def test_an_unknown_model_to_preload_is_refused_at_start(tmp_path: Path, wanted: str, said: str) -> None:
    command = [sys.executable, "-m", "ecurie", "serve", "--demo", "--port", str(free_port())]
    ended = subprocess.run(
        [*command, "--preload", wanted],
        env={**os.environ, "ECURIE_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
