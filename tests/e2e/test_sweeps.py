from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Server

PICTURE = Path(__file__).parents[1] / "data" / "emoji" / "red-apple.png"
BODY: dict[str, Any] = {
    "request": {"prompt": "red apple", "seed": 7, "steps": 3},
    "x": {"field": "model", "values": ["sdxl-base", "pony-xl-v6"]},
    "y": {"field": "lora:style-anime", "values": [0, 1]},
}


def test_a_sweep_becomes_a_labelled_grid_with_what_made_each_cell(server: Server) -> None:
    answer = server.client.post("/sweeps", json=BODY)
    assert answer.status_code == 202
    place = answer.headers["location"]
    ended = server.wait_until(lambda: finished(server, place), "ended")
    assert (ended["state"], ended["counts"]) == ("succeeded", {"succeeded": 4})
    cells = ended["cells"]
    assert [(cell["x"], cell["y"]) for cell in cells] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    weights = [[lora["unet"] for lora in cell["image"]["metadata"]["loras"]] for cell in cells]
    assert weights == [[0], [0], [1], [1]]
    started = sorted(cells, key=lambda cell: str(server.job(cell["job_id"])["started_at"]))
    models = [cell["image"]["metadata"]["model"] for cell in started]
    assert models == ["sdxl-base"] * 2 + ["pony-xl-v6"] * 2
    with Image.open(io.BytesIO(server.client.get(ended["grid_url"]).content)) as grid:
        made = json.loads(str(grid.info["ecurie-sweep"]))
    assert made["sweep"]["x"] == BODY["x"]
    assert [cell["seed"] for cell in made["cells"]] == [7] * 4
    again = server.client.post("/generate?wait=60", json=without_none(made["cells"][3])).json()
    pictures = [cells[3]["image"]["filename"], again["result"]["images"][0]["filename"]]
    pixels = [Image.open(server.data_dir / "outputs" / name).convert("RGB").tobytes() for name in pictures]
    assert pixels[0] == pixels[1]


def finished(server: Server, place: str) -> dict[str, Any] | None:
    content: dict[str, Any] = server.client.get(place).json()
    return content if content["state"] not in ("queued", "running") else None


def without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def test_a_sweep_keeps_its_seed_and_the_ids_of_its_pictures(server: Server) -> None:
    coded = base64.b64encode(PICTURE.read_bytes()).decode()
    request = {"prompt": "red apple", "steps": 4, "init_image": coded}
    body = {"request": request, "x": {"field": "strength", "values": [0.5, 1]}}
    place = server.client.post("/sweeps", json=body).headers["location"]
    ended = server.wait_until(lambda: finished(server, place), "ended")
    assert ended["state"] == "succeeded"
    uploaded = server.client.post("/images", content=PICTURE.read_bytes()).json()["id"]
    assert ended["request"]["init_image"] == uploaded
    made = [cell["image"]["metadata"] for cell in ended["cells"]]
    assert {cell["seed"] for cell in made} == {ended["request"]["seed"]}
    assert [(cell["init_image"], cell["strength"]) for cell in made] == [(uploaded, 0.5), (uploaded, 1)]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"x": {"field": "model", "values": ["sdxl-base", "nope"]}}, "unknown-model", None),
        ({"x": {"field": "steps", "values": [3, 9999]}}, "invalid-request", "steps"),
        ({"x": {"field": "colour", "values": ["red"]}}, "invalid-request", "x"),
        ({"y": {"field": "lora:nope", "values": [1]}}, "unknown-adapter", "loras.0"),
    ],
)
def test_one_cell_that_cannot_be_made_queues_none(
    server: Server, changes: dict[str, Any], code: str, field: str | None
) -> None:
    before = len(server.client.get("/jobs?limit=500").json()["jobs"])
    answer = server.client.post("/sweeps", json=BODY | changes).json()
    assert (answer["code"], answer.get("field")) == (code, field)
    assert len(server.client.get("/jobs?limit=500").json()["jobs"]) == before


def test_cancelling_a_sweep_cancels_what_has_not_ended(server: Server) -> None:
    body = BODY | {"x": {"field": "seed", "values": [1, 2, 3]}, "y": None}
    body["request"] = BODY["request"] | {"steps": 150}
    place = server.client.post("/sweeps", json=body).headers["location"]
    server.client.delete(place)
    ended = server.wait_until(lambda: finished(server, place), "ended")
    assert ended["state"] == "cancelled"
    grid = server.client.get(f"{place}/grid")
    assert (grid.status_code, grid.headers["content-type"]) == (200, "image/png")


def test_an_unknown_sweep_is_not_found(server: Server) -> None:
    for answer in (server.client.get("/sweeps/nope"), server.client.delete("/sweeps/nope")):
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown-sweep")


def test_the_command_line_draws_a_grid_and_keeps_its_cells(tmp_path: Path) -> None:
    ended = sweep(
        tmp_path, "--x", "prompt_replace=red,green", "--y", "scheduler=euler,ddim", "--output", "g.png"
    )
    assert ended.returncode == 0, ended.stderr
    with Image.open(tmp_path / "g.png") as grid:
        made = json.loads(str(grid.info["ecurie-sweep"]))
    assert [(cell["prompt"], cell["scheduler"]) for cell in made["cells"]] == [
        ("red apple", "euler"),
        ("green apple", "euler"),
        ("red apple", "ddim"),
        ("green apple", "ddim"),
    ]
    assert len(list((tmp_path / "g").glob("*.png"))) == 4


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--x", "steps"], "should look like steps=10,20,30"),
        (["--x", "colour=red"], "no field of a request"),
        (["--x", "steps=4,many"], "the cell steps=many"),
        (["--x", "steps=4", "--output", "g.jpg"], "a grid is written as .png"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_clear_message(
    tmp_path: Path, arguments: list[str], shown: str
) -> None:
    ended = sweep(tmp_path, *arguments)
    assert (ended.returncode, shown in ended.stderr) == (2, True), ended.stderr
    assert "Traceback" not in ended.stderr


def sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["--demo", "--steps", "2", "--seed", "7", "--data-dir", str(folder / "data")]
    return subprocess.run(
        [sys.executable, "-m", "ecurie", "sweep", "red apple", *options, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
